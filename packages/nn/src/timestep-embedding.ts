import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { withGradient } from './custom-gradient';
import { hasWebgpu } from './webgpu/backend';
import { webgpuSinusoids } from './webgpu/sinusoids';

/**
 * Sinusoids of the time: cosines in the first half, sines in the second, frequencies `maxPeriod^(-i / (width/2))`.
 *
 * @param t Times `[B]`, int32 or float32.
 * @param width Size of the result; an odd width ends with a zero.
 * @returns `[B, width]`, float32. The caller disposes it.
 * @throws DisposedError if `t` was disposed.
 * @see arXiv:1706.03762, section 3.5; cosines first as in latent diffusion.
 */
export function timestepEmbedding(
  t: tf.Tensor1D,
  width: number,
  options: { readonly maxPeriod?: number } = {},
): tf.Tensor2D {
  const { maxPeriod = 10000 } = options;
  expectAlive('timestepEmbedding', { t });
  const half = Math.floor(width / 2);
  return tf.tidy(() => {
    const frequencies = Array.from({ length: half }, (_, i) => Math.exp((-Math.log(maxPeriod) * i) / half));
    const angles = tf.mul<tf.Tensor2D>(tf.expandDims(tf.cast(t, 'float32'), 1), tf.tensor2d(frequencies, [1, half])); // [B, half]
    const parts = hasWebgpu() ? [exactSinusoids(angles)] : [tf.cos<tf.Tensor2D>(angles), tf.sin<tf.Tensor2D>(angles)];
    if (width % 2 === 1) parts.push(tf.zeros([t.shape[0], 1]));
    return tf.concat(parts, 1); // [B, width]
  });
}

/** Cosines, then sines. `[B, half]` -> `[B, 2 half]`. */
function exactSinusoids(angles: tf.Tensor2D): tf.Tensor2D {
  return withGradient<tf.Tensor2D>(
    'timestepEmbedding',
    { angles },
    (save) => {
      const y = webgpuSinusoids(angles);
      save([y]);
      return y;
    },
    (dy, [y]) => {
      const [cos, sin] = tf.split(y!, 2, 1) as [tf.Tensor, tf.Tensor];
      const [dCos, dSin] = tf.split(dy, 2, 1) as [tf.Tensor, tf.Tensor];
      return [tf.sub(tf.mul(dSin, cos), tf.mul(dCos, sin))];
    },
  );
}

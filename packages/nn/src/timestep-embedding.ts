import * as tf from '@tensorflow/tfjs-core';

/**
 * Sinusoids of the time: cosines in the first half, sines in the second, frequencies `maxPeriod^(-i / (width/2))`.
 *
 * @param t Times `[B]`, int32 or float32.
 * @param width Size of the result; an odd width ends with a zero.
 * @returns `[B, width]`, float32. The caller disposes it.
 * @see arXiv:1706.03762, section 3.5; cosines first as in latent diffusion.
 */
export function timestepEmbedding(
  t: tf.Tensor1D,
  width: number,
  options: { readonly maxPeriod?: number } = {},
): tf.Tensor2D {
  const { maxPeriod = 10000 } = options;
  const half = Math.floor(width / 2);
  return tf.tidy(() => {
    const frequencies = Array.from({ length: half }, (_, i) => Math.exp((-Math.log(maxPeriod) * i) / half));
    const angles = tf.mul(tf.expandDims(tf.cast(t, 'float32'), 1), tf.tensor2d(frequencies, [1, half])); // [B, half]
    const parts = [tf.cos(angles), tf.sin(angles)] as tf.Tensor2D[];
    if (width % 2 === 1) parts.push(tf.zeros([t.shape[0], 1]));
    return tf.concat(parts, 1); // [B, width]
  });
}

// Shapes: B batch, P image tokens, W their width, G global width.
import * as tf from '@tensorflow/tfjs-core';
import type { ImageEncoder } from './small-image-encoder';

/**
 * An image encoder whose results are constants: no gradient runs through it, and training keeps nothing of what it
 * computes in between, which for CLIP would be 40 MB per image.
 */
export function frozenImageEncoder(encode: ImageEncoder): ImageEncoder {
  return (images) =>
    tf.tidy(() => {
      const B = images.shape[0];
      let [P, W, G] = [0, 0, 0];
      // One tensor, since a custom gradient has one value: [B, P W + G].
      const both = withoutGradient(() => {
        const { local, global } = encode(images);
        [, P, W] = local.shape;
        [, G] = global.shape;
        return tf.concat([tf.reshape(local, [B, P * W]), global], 1) as tf.Tensor2D;
      });
      const local = tf.reshape(tf.slice(both, [0, 0], [B, P * W]), [B, P, W]) as tf.Tensor3D;
      return { local, global: tf.slice(both, [0, P * W], [B, G]) };
    });
}

/** Result of `f` as a constant: what runs inside a custom gradient is not recorded. */
export function withoutGradient<T extends tf.Tensor>(f: () => T): T {
  const constant = tf.customGrad((anchor) => ({
    value: f(),
    gradFunc: () => tf.zerosLike(anchor as tf.Tensor),
  }));
  return constant(tf.scalar(0)) as T;
}

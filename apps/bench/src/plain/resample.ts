// Shapes: B batch, H W size, C channels.
import * as tf from '@tensorflow/tfjs-core';

/** By tile: the gradient of tfjs' resizing is missing on wasm. */
export function upsampleNearest2x(x: tf.Tensor4D): tf.Tensor4D {
  const [B, H, W, C] = x.shape;
  return tf.tidy(() => {
    const wide = tf.tile(tf.reshape(x, [B * H * W, 1, C]), [1, 2, 1]);
    const high = tf.tile(tf.reshape(wide, [B * H, 1, 2 * W * C]), [1, 2, 1]);
    return tf.reshape(high, [B, 2 * H, 2 * W, C]) as tf.Tensor4D;
  });
}

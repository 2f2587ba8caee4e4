// Shapes: B batch, H, W, C image, P patches (gridH x gridW, row-major), E = patch height * patch width * C.
import * as tf from '@tensorflow/tfjs-core';

/**
 * The image cut into patches, row-major; inside a patch also row-major, channels last.
 *
 * @param images `[B, H, W, C]`; H and W are multiples of the grid.
 * @returns `[B, P, E]`. The caller disposes it.
 */
export function patchify(images: tf.Tensor4D, gridH: number, gridW: number): tf.Tensor3D {
  const [B, H, W, C] = images.shape;
  const [h, w] = [H / gridH, W / gridW];
  return tf.tidy(() => {
    const cells = tf.reshape(images, [B * gridH, h, gridW, w * C]);
    return tf.reshape(tf.transpose(cells, [0, 2, 1, 3]), [B, gridH * gridW, h * w * C]);
  });
}

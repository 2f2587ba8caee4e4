// Shapes: B batch, H, W height and width, C channels, S side of the result.
import * as tf from '@tensorflow/tfjs-core';
import { ShapeError } from '@sgdiff/nn';

/**
 * Images squashed or stretched to a square, bilinear with half-pixel centres: what lay at a share of the width and height
 * lies there afterwards, so boxes in [0, 1] stay right (as published; CLIP's own centre crop would move them).
 *
 * Not smoothed before: images should not be much larger than the side, else fine patterns alias.
 *
 * @param images `[B, H, W, C]`, float32.
 * @param size Side S in pixels.
 * @returns `[B, S, S, C]`, within the range of the images. The caller disposes it.
 * @throws ShapeError if the images do not have four axes.
 */
export function resizeImages(images: tf.Tensor4D, size: number): tf.Tensor4D {
  if (images.rank !== 4) {
    throw new ShapeError(
      `resizeImages: expected images of shape [B, H, W, C], received [${(images as tf.Tensor).shape.join(', ')}].`,
    );
  }
  const [, H, W] = images.shape;
  if (H === size && W === size) return tf.clone(images);
  return tf.image.resizeBilinear(images, [size, size], false, true);
}

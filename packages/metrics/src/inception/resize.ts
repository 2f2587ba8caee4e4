// Shapes: B batch, H and W any size, S = 299.
import * as tf from '@tensorflow/tfjs-core';
import { ShapeError } from '@sgdiff/nn';
import { INCEPTION_SIZE } from './plan';

/**
 * Pictures of any size at the network's 299 x 299, as TensorFlow 1 resized them: bilinear between the two nearest
 * pixels, the first pixel's corner at the first pixel's corner, no half-pixel centres, no smoothing before shrinking.
 *
 * Scores are only comparable where pictures were resized this way: others (PIL's, PyTorch's) move them by far more than
 * their rounding.
 *
 * @param images `[B, H, W, 3]`, float32 or int32, any range.
 * @returns `[B, 299, 299, 3]`, float32. The caller disposes it.
 * @throws ShapeError if `images` is of another shape.
 */
export function resizeForInception(images: tf.Tensor4D): tf.Tensor4D {
  expectPictures('resizeForInception', images);
  return tf.tidy(() =>
    tf.image.resizeBilinear(tf.cast(images, 'float32'), [INCEPTION_SIZE, INCEPTION_SIZE], false, false),
  );
}

/** @throws ShapeError if the tensor is none of colour pictures. */
export function expectPictures(where: string, images: tf.Tensor4D): void {
  if (images.rank !== 4 || images.shape[3] !== 3 || images.size === 0) {
    throw new ShapeError(`${where}: expected images of shape [B, H, W, 3], received [${images.shape.join(', ')}].`);
  }
}

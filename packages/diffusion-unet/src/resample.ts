// Shapes: B batch, H and W sides, C channels.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, upsampleNearest2x, type Conv2dParams } from '@sgdiff/nn';

/**
 * Halves both sides: 3×3 convolution with stride 2 after a border of zeros on all four sides.
 * (The autoencoder pads only the bottom and the right.)
 *
 * @param x `[B, H, W, C]`, even sides.
 * @returns `[B, H/2, W/2, C]`. The caller disposes it.
 */
export function downsample(conv: Conv2dParams, x: tf.Tensor4D): tf.Tensor4D {
  return conv2d(conv, x, { stride: 2, padding: { top: 1, bottom: 1, left: 1, right: 1 } });
}

/**
 * Doubles both sides: every position repeated 2×2, then a 3×3 convolution.
 *
 * @returns `[B, 2H, 2W, C]`. The caller disposes it.
 */
export function upsample(conv: Conv2dParams, x: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => conv2d(conv, upsampleNearest2x(x)));
}

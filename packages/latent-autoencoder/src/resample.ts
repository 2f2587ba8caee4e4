// Shapes: B batch, H and W sides, C channels.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, initConv2d, upsampleNearest2x, type Conv2dParams, type Rng } from '@sgdiff/nn';

/** Weights of a change of resolution: one 3×3 convolution. */
export type ResampleParams = { readonly conv: Conv2dParams /* [3, 3, C, C] */ };

export function initResample(channels: number, rng: Rng): ResampleParams {
  return { conv: initConv2d(3, channels, channels, rng) };
}

/**
 * Halves both sides: 3×3 convolution with stride 2 after one row and column of zeros at the bottom and right only.
 *
 * @param x `[B, H, W, C]`, even sides.
 * @returns `[B, H/2, W/2, C]`. The caller disposes it.
 */
export function downsample(params: ResampleParams, x: tf.Tensor4D): tf.Tensor4D {
  return conv2d(params.conv, x, { stride: 2, padding: { top: 0, bottom: 1, left: 0, right: 1 } });
}

/**
 * Doubles both sides: every pixel repeated 2×2, then a 3×3 convolution.
 *
 * @returns `[B, 2H, 2W, C]`. The caller disposes it.
 */
export function upsample(params: ResampleParams, x: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => conv2d(params.conv, upsampleNearest2x(x)));
}

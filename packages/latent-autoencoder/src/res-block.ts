// Shapes: B batch, H and W sides, I input channels, C output channels.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  type Conv2dParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';

/** Weights of one residual block; `ninShortcut` exists where the width changes. */
export type ResBlockParams = {
  readonly norm1: NormParams; // [I]
  readonly conv1: Conv2dParams; // [3, 3, I, C]
  readonly norm2: NormParams; // [C]
  readonly conv2: Conv2dParams; // [3, 3, C, C]
  readonly ninShortcut?: Conv2dParams; // [1, 1, I, C]
};

/** GroupNorm's epsilon everywhere in this model (the U-Net has another one). */
export const NORM_EPS = 1e-6;

export function initResBlock(inChannels: number, outChannels: number, rng: Rng): ResBlockParams {
  return {
    norm1: initGroupNorm(inChannels),
    conv1: initConv2d(3, inChannels, outChannels, rng.fork('conv1')),
    norm2: initGroupNorm(outChannels),
    conv2: initConv2d(3, outChannels, outChannels, rng.fork('conv2')),
    ...(inChannels === outChannels
      ? {}
      : { ninShortcut: initConv2d(1, inChannels, outChannels, rng.fork('shortcut')) }),
  };
}

/**
 * Two normalised 3×3 convolutions beside a shortcut.
 *
 * @param x `[B, H, W, I]`, float32.
 * @returns `[B, H, W, C]`. The caller disposes it.
 * @see arXiv:2012.09841, table 7 (residual block).
 */
export function resBlock(params: ResBlockParams, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  return tf.tidy(() => {
    const h = conv2d(params.conv1, groupNormSilu(params.norm1, x, { groups, eps: NORM_EPS })); // [B, H, W, C]
    const y = conv2d(params.conv2, groupNormSilu(params.norm2, h, { groups, eps: NORM_EPS }));
    const shortcut = params.ninShortcut ? conv2d(params.ninShortcut, x) : x; // [B, H, W, C]
    return tf.add(shortcut, y) as tf.Tensor4D;
  });
}

// Shapes: B batch, H and W sides, I input channels, C output channels, E width of the time embedding.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  initLinear,
  linear,
  silu,
  type Conv2dParams,
  type LinearParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';

/** Weights of one residual block; `skip` exists where the width changes. */
export type ResBlockParams = {
  readonly norm1: NormParams; // [I]
  readonly conv1: Conv2dParams; // [3, 3, I, C]
  readonly time: LinearParams; // [E, C]
  readonly norm2: NormParams; // [C]
  readonly conv2: Conv2dParams; // [3, 3, C, C]
  readonly skip?: Conv2dParams; // [1, 1, I, C]
};

/** Fresh weights. `conv2` starts at zero, so the block starts as its shortcut. */
export function initResBlock(inChannels: number, outChannels: number, timeWidth: number, rng: Rng): ResBlockParams {
  return {
    norm1: initGroupNorm(inChannels),
    conv1: initConv2d(3, inChannels, outChannels, rng.fork('conv1')),
    time: initLinear(timeWidth, outChannels, rng.fork('time')),
    norm2: initGroupNorm(outChannels),
    conv2: initConv2d(3, outChannels, outChannels, rng.fork('conv2'), { gain: 0 }),
    ...(inChannels === outChannels ? {} : { skip: initConv2d(1, inChannels, outChannels, rng.fork('skip')) }),
  };
}

/**
 * Two normalised 3×3 convolutions with the time embedding added between them, beside a shortcut.
 *
 * @param x `[B, H, W, I]`, float32.
 * @param time Time embedding before its SiLU, `[B, E]`.
 * @returns `[B, H, W, C]`. The caller disposes it.
 * @see arXiv:2006.11239, appendix B; weights and order of latent diffusion.
 */
export function resBlock(params: ResBlockParams, x: tf.Tensor4D, time: tf.Tensor2D, groups: number): tf.Tensor4D {
  return tf.tidy(() => {
    const h = conv2d(params.conv1, groupNormSilu(params.norm1, x, { groups, eps: 1e-5 })); // [B, H, W, C]
    const shift = linear(params.time, silu(time)); // [B, C]
    const shifted = tf.add(h, tf.reshape(shift, [x.shape[0], 1, 1, -1])) as tf.Tensor4D;
    const y = conv2d(params.conv2, groupNormSilu(params.norm2, shifted, { groups, eps: 1e-5 }));
    return tf.add(params.skip ? conv2d(params.skip, x) : x, y) as tf.Tensor4D;
  });
}

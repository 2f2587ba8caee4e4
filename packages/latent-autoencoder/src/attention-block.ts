// Shapes: B batch, H and W sides, N = H·W tokens, C channels.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  groupNorm,
  initConv2d,
  initGroupNorm,
  scaledDotProductAttention,
  type Conv2dParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';
import { NORM_EPS } from './res-block';

/** Weights of one self-attention block; the four projections are 1×1 convolutions with bias. */
export type AttentionBlockParams = {
  readonly norm: NormParams; // [C]
  readonly q: Conv2dParams; // [1, 1, C, C]
  readonly k: Conv2dParams;
  readonly v: Conv2dParams;
  readonly projOut: Conv2dParams;
};

export function initAttentionBlock(channels: number, rng: Rng): AttentionBlockParams {
  return {
    norm: initGroupNorm(channels),
    q: initConv2d(1, channels, channels, rng.fork('q')),
    k: initConv2d(1, channels, channels, rng.fork('k')),
    v: initConv2d(1, channels, channels, rng.fork('v')),
    projOut: initConv2d(1, channels, channels, rng.fork('projOut')),
  };
}

/**
 * Self-attention with one head over all positions, added to its input.
 *
 * @param x `[B, H, W, C]`, float32.
 * @returns `[B, H, W, C]`. The caller disposes it.
 * @see arXiv:2012.09841, table 7 (non-local block).
 */
export function attentionBlock(params: AttentionBlockParams, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  const [B, H, W, C] = x.shape;
  return tf.tidy(() => {
    const h = groupNorm(params.norm, x, { groups, eps: NORM_EPS });
    const tokens = (projection: Conv2dParams): tf.Tensor3D => tf.reshape(conv2d(projection, h), [B, H * W, C]); // [B, N, C]
    const mixed = scaledDotProductAttention(tokens(params.q), tokens(params.k), tokens(params.v), { heads: 1 }); // [B, N, C]
    return tf.add(x, conv2d(params.projOut, tf.reshape(mixed, [B, H, W, C]) as tf.Tensor4D)) as tf.Tensor4D;
  });
}

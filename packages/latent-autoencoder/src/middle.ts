// Shapes: B batch, h and w latent sides, C channels of the coarsest level.
import type * as tf from '@tensorflow/tfjs-core';
import type { Rng } from '@sgdiff/nn';
import { attentionBlock, initAttentionBlock, type AttentionBlockParams } from './attention-block';
import type { AutoencoderConfig } from './config';
import { initResBlock, resBlock, type ResBlockParams } from './res-block';

/** Weights between the coarsest level and the latents. */
export type MiddleParams = {
  readonly block1: ResBlockParams;
  readonly attn1?: AttentionBlockParams;
  readonly block2: ResBlockParams;
};

export function initMiddle(config: AutoencoderConfig, channels: number, rng: Rng): MiddleParams {
  return {
    block1: initResBlock(channels, channels, rng.fork('block1')),
    ...((config.middle ?? 'attention') === 'attention' ? { attn1: initAttentionBlock(channels, rng.fork('attn1')) } : {}),
    block2: initResBlock(channels, channels, rng.fork('block2')),
  };
}

/** Block, attention if there is one, block: `[B, h, w, C]` to the same shape. Runs inside the caller's tidy. */
export function middle(params: MiddleParams, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  let h = resBlock(params.block1, x, groups);
  if (params.attn1) h = attentionBlock(params.attn1, h, groups);
  return resBlock(params.block2, h, groups);
}

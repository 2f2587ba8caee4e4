// Shapes: B batch, H and W image sides, h and w latent sides, Z latent channels before the 1×1 convolution.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  spaceToDepth,
  type Conv2dParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';
import { attentionBlock, initAttentionBlock, type AttentionBlockParams } from './attention-block';
import { levelWidths, type AutoencoderConfig } from './config';
import { initMiddle, middle, type MiddleParams } from './middle';
import { initResBlock, NORM_EPS, resBlock, type ResBlockParams } from './res-block';
import { downsample, initResample, type ResampleParams } from './resample';

export type EncoderLevelParams = {
  readonly block: readonly ResBlockParams[];
  /** One per block on levels with attention. */
  readonly attn?: readonly AttentionBlockParams[];
  /** On every level but the last. */
  readonly downsample?: ResampleParams;
};

export type EncoderParams = {
  readonly convIn: Conv2dParams;
  /** Finest level first. */
  readonly down: readonly EncoderLevelParams[];
  readonly mid?: MiddleParams;
  readonly normOut: NormParams;
  readonly convOut: Conv2dParams;
};

export function initEncoder(config: AutoencoderConfig, rng: Rng): EncoderParams {
  const widths = levelWidths(config);
  const coarsest = widths[widths.length - 1]!;
  return {
    convIn: initConv2d(3, config.imageChannels * config.stem ** 2, config.baseChannels, rng.fork('convIn')),
    down: widths.map((width, level) => {
      const levelRng = rng.fork('down', level);
      const inWidth = level === 0 ? config.baseChannels : widths[level - 1]!;
      const blocks = Array.from({ length: config.numResBlocks }, (_, i) => i);
      return {
        block: blocks.map((i) => initResBlock(i === 0 ? inWidth : width, width, levelRng.fork('block', i))),
        ...(config.attentionLevels.includes(level)
          ? { attn: blocks.map((i) => initAttentionBlock(width, levelRng.fork('attn', i))) }
          : {}),
        ...(level < widths.length - 1 ? { downsample: initResample(width, levelRng.fork('downsample')) } : {}),
      };
    }),
    ...((config.middle ?? 'attention') === 'none' ? {} : { mid: initMiddle(config, coarsest, rng.fork('mid')) }),
    normOut: initGroupNorm(coarsest),
    convOut: initConv2d(3, coarsest, config.zChannels, rng.fork('convOut')),
  };
}

/**
 * Images to features at latent resolution, before `quantConv`.
 *
 * @param images `[B, H, W, 3]` in [-1, 1].
 * @returns `[B, h, w, Z]`. The caller disposes it.
 */
export function encoder(params: EncoderParams, config: AutoencoderConfig, images: tf.Tensor4D): tf.Tensor4D {
  const { groups } = config;
  return tf.tidy(() => {
    let h = conv2d(params.convIn, config.stem === 1 ? images : spaceToDepth(images, config.stem));
    for (const level of params.down) {
      level.block.forEach((block, i) => {
        h = resBlock(block, h, groups);
        const attn = level.attn?.[i];
        if (attn) h = attentionBlock(attn, h, groups);
      });
      if (level.downsample) h = downsample(level.downsample, h); // both sides halve
    }
    if (params.mid) h = middle(params.mid, h, groups);
    return conv2d(params.convOut, groupNormSilu(params.normOut, h, { groups, eps: NORM_EPS })); // [B, h, w, Z]
  });
}

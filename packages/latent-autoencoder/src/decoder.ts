// Shapes: B batch, H and W image sides, h and w latent sides, Z latent channels after the 1×1 convolution.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  depthToSpace,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  type Conv2dParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';
import { attentionBlock, initAttentionBlock, type AttentionBlockParams } from './attention-block';
import { decoderResBlocks, levelWidths, type AutoencoderConfig } from './config';
import { initMiddle, middle, type MiddleParams } from './middle';
import { initResBlock, NORM_EPS, resBlock, type ResBlockParams } from './res-block';
import { initResample, upsample, type ResampleParams } from './resample';

export type DecoderLevelParams = {
  readonly block: readonly ResBlockParams[];
  readonly attn?: readonly AttentionBlockParams[];
  /** On every level but the finest. */
  readonly upsample?: ResampleParams;
};

export type DecoderParams = {
  readonly convIn: Conv2dParams;
  readonly mid?: MiddleParams;
  /** Stored finest first, run coarsest first. */
  readonly up: readonly DecoderLevelParams[];
  readonly normOut: NormParams;
  readonly convOut: Conv2dParams;
};

export function initDecoder(config: AutoencoderConfig, rng: Rng): DecoderParams {
  const widths = levelWidths(config);
  const coarsest = widths[widths.length - 1]!;
  return {
    convIn: initConv2d(3, config.zChannels, coarsest, rng.fork('convIn')),
    ...((config.middle ?? 'attention') === 'none' ? {} : { mid: initMiddle(config, coarsest, rng.fork('mid')) }),
    up: widths.map((width, level) => {
      const levelRng = rng.fork('up', level);
      const inWidth = widths[level + 1] ?? coarsest;
      const blocks = Array.from({ length: decoderResBlocks(config) }, (_, i) => i);
      return {
        block: blocks.map((i) => initResBlock(i === 0 ? inWidth : width, width, levelRng.fork('block', i))),
        ...(config.attentionLevels.includes(level)
          ? { attn: blocks.map((i) => initAttentionBlock(width, levelRng.fork('attn', i))) }
          : {}),
        ...(level > 0 ? { upsample: initResample(width, levelRng.fork('upsample')) } : {}),
      };
    }),
    normOut: initGroupNorm(widths[0]!),
    convOut: initConv2d(3, widths[0]!, config.imageChannels * config.stem ** 2, rng.fork('convOut')),
  };
}

/**
 * Features at latent resolution, after `postQuantConv`, to images.
 *
 * @param z `[B, h, w, Z]`.
 * @returns `[B, H, W, 3]`, about [-1, 1] but not clamped. The caller disposes it.
 */
export function decoder(params: DecoderParams, config: AutoencoderConfig, z: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => decoderOutput(params, config, decoderBody(params, config, z)));
}

/** All of the decoder but its last layer: `[B, h, w, Z]` to features of the finest level. The caller disposes the result. */
export function decoderBody(params: DecoderParams, config: AutoencoderConfig, z: tf.Tensor4D): tf.Tensor4D {
  const { groups } = config;
  return tf.tidy(() => {
    let h = conv2d(params.convIn, z);
    if (params.mid) h = middle(params.mid, h, groups);
    for (const level of [...params.up].reverse()) {
      level.block.forEach((block, i) => {
        h = resBlock(block, h, groups);
        const attn = level.attn?.[i];
        if (attn) h = attentionBlock(attn, h, groups);
      });
      if (level.upsample) h = upsample(level.upsample, h); // both sides double
    }
    return groupNormSilu(params.normOut, h, { groups, eps: NORM_EPS }); // [B, H/stem, W/stem, C]
  });
}

/** The last layer: features of the finest level to images `[B, H, W, 3]`. The caller disposes the result. */
export function decoderOutput(
  { convOut }: Pick<DecoderParams, 'convOut'>,
  { stem }: AutoencoderConfig,
  features: tf.Tensor4D,
): tf.Tensor4D {
  return tf.tidy(() => {
    const h = conv2d(convOut, features);
    return stem === 1 ? h : depthToSpace(h, stem);
  });
}

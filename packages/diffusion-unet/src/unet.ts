// Shapes: B batch, h and w latent sides, c latent channels, E = 4 · modelChannels width of the time embedding.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  expectShape,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  initLinear,
  linear,
  ShapeError,
  silu,
  timestepEmbedding,
  type Conv2dParams,
  type LinearParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';
import {
  initCondition,
  prepareCondition,
  type ConditionParams,
  type PreparedCondition,
  type UnetCondition,
} from './condition';
import { checkConfig, type UnetConfig } from './config';
import { unetPlan, type BlockPlan, type TransformerKind } from './plan';
import { downsample, upsample } from './resample';
import { initResBlock, resBlock, type ResBlockParams } from './res-block';
import { initSpatialTransformer, spatialTransformer, type SpatialTransformerParams } from './spatial-transformer';

/** One entry on the way down or up: what it holds is run in this order. */
export type UnetBlockParams = {
  readonly conv?: Conv2dParams;
  readonly res?: ResBlockParams;
  readonly transformer?: SpatialTransformerParams;
  readonly down?: Conv2dParams;
  readonly up?: Conv2dParams;
};

/** Weights of the U-Net. `publishedName(path)` gives the name of each in the published state dict. */
export type UnetParams = {
  readonly timeEmbed: { readonly in: LinearParams; readonly out: LinearParams };
  readonly condition: ConditionParams;
  readonly inputBlocks: readonly UnetBlockParams[];
  readonly middleBlock: {
    readonly res1: ResBlockParams;
    readonly transformer: SpatialTransformerParams;
    readonly res2: ResBlockParams;
  };
  readonly outputBlocks: readonly UnetBlockParams[];
  readonly out: { readonly norm: NormParams; readonly conv: Conv2dParams };
};

/**
 * Fresh weights. The last convolution starts at zero, so a fresh network predicts 0 everywhere.
 *
 * @throws UnetConfigError if the config describes no network.
 */
export function initUnet(config: UnetConfig, rng: Rng): UnetParams {
  checkConfig(config);
  const plan = unetPlan(config);
  const timeWidth = 4 * config.modelChannels;
  const transformer = (channels: number, kind: TransformerKind, blockRng: Rng): SpatialTransformerParams =>
    initSpatialTransformer(
      {
        channels,
        contextWidth: config.contextWidth,
        feedForwardMult: config.feedForwardMult ?? 4,
        selfAttention: kind === 'self-cross',
        depth: config.transformerDepth,
      },
      blockRng,
    );
  const block = (entry: BlockPlan, blockRng: Rng): UnetBlockParams => {
    const { kind, inChannels, outChannels } = entry;
    if (kind === 'conv') return { conv: initConv2d(3, inChannels, outChannels, blockRng) };
    if (kind === 'down') return { down: initConv2d(3, inChannels, outChannels, blockRng) };
    return {
      res: initResBlock(inChannels, outChannels, timeWidth, blockRng.fork('res')),
      ...(entry.transformer === 'none'
        ? {}
        : { transformer: transformer(outChannels, entry.transformer, blockRng.fork('transformer')) }),
      ...(entry.up ? { up: initConv2d(3, outChannels, outChannels, blockRng.fork('up')) } : {}),
    };
  };
  const { channels } = plan.middle;
  return {
    timeEmbed: {
      in: initLinear(config.modelChannels, timeWidth, rng.fork('timeEmbed', 'in')),
      out: initLinear(timeWidth, timeWidth, rng.fork('timeEmbed', 'out')),
    },
    condition: initCondition(config, timeWidth, rng.fork('condition')),
    inputBlocks: plan.input.map((entry, i) => block(entry, rng.fork('input', i))),
    middleBlock: {
      res1: initResBlock(channels, channels, timeWidth, rng.fork('middle', 'res1')),
      transformer: transformer(channels, plan.middle.transformer, rng.fork('middle', 'transformer')),
      res2: initResBlock(channels, channels, timeWidth, rng.fork('middle', 'res2')),
    },
    outputBlocks: plan.output.map((entry, i) => block(entry, rng.fork('output', i))),
    out: {
      norm: initGroupNorm(config.modelChannels),
      conv: initConv2d(3, config.modelChannels, config.outChannels, rng.fork('out'), { gain: 0 }),
    },
  };
}

export type UnetOptions = {
  /**
   * 1 to keep an item's condition, 0 for the learned null condition in its place: `[B]`, float32. For condition
   * dropout in training and for the unconditional half of guidance. All kept if left out.
   */
  readonly keep?: tf.Tensor1D;
  /**
   * Called for each transformer block, in the order of the network, with where it looked. Costs one small product per block and
   * changes nothing of the result.
   */
  readonly onAttention?: (map: UnetAttention) => void;
};

/** Where the positions of an image looked in the cross-attention of one transformer block. */
export type UnetAttention = {
  /** By how much the sides are smaller than those of `x`. */
  readonly factor: number;
  /**
   * Shares of the tokens, those of the triples and then that of the graph, as a mean over the heads: `[B, h / factor, w / factor, T + 1]`,
   * with the sum 1 at each position and 0 for hidden tokens. Only during the call, or with `tf.keep`.
   */
  readonly shares: tf.Tensor4D;
};

/**
 * What a network trained on noisy latents predicts (noise or v) at time t under a condition.
 *
 * @param x Noisy latents `[B, h, w, c]`, float32, about unit variance; sides are multiples of 2^(levels - 1).
 * @param t Index into the noise schedule, 0 … timesteps - 1, may be fractional: `[B]`, float32.
 * @param condition Features of the scene graphs: `local` `[B, T, L]`, `mask` `[B, T]`, `global` `[B, G]`.
 * @returns `[B, h, w, outChannels]`. The caller disposes it.
 * @throws ShapeError if a shape does not fit the config, or `keep` is given to a network without a null condition.
 * @see arXiv:2112.10752, section 3.3 and appendix E; arXiv:2211.11138 for the condition.
 */
export function unet(
  params: UnetParams,
  config: UnetConfig,
  x: tf.Tensor4D,
  t: tf.Tensor1D,
  condition: UnetCondition,
  options: UnetOptions = {},
): tf.Tensor4D {
  const [B, h0, w0, c] = x.shape;
  const multiple = 2 ** (config.channelMults.length - 1);
  if (x.rank !== 4 || c !== config.inChannels || h0 % multiple !== 0 || w0 % multiple !== 0) {
    throw new ShapeError(
      `unet: expected x of shape [B, h, w, ${config.inChannels}] with sides that are multiples of ${multiple}, ` +
        `received [${x.shape.join(', ')}].`,
    );
  }
  expectShape('unet', { t }, { t: [B] });
  return tf.tidy(() => {
    const prepared = prepareCondition(params.condition, config, condition, B, options.keep);
    let time = linear(
      params.timeEmbed.out,
      silu(linear(params.timeEmbed.in, timestepEmbedding(t, config.modelChannels))),
    ) as tf.Tensor2D; // [B, E]
    if (prepared.time) time = tf.add(time, prepared.time);

    const { onAttention } = options;
    const context: Context = {
      ...prepared,
      ...(onAttention && {
        onAttention: (shares, [, H, W]) =>
          onAttention({ factor: h0 / H, shares: tf.reshape(shares, [B, H, W, shares.shape[2]]) }),
      }),
    };
    const skips: tf.Tensor4D[] = [];
    let h = x;
    for (const block of params.inputBlocks) {
      h = runBlock(block, config, h, time, context);
      skips.push(h);
    }
    const { res1, transformer, res2 } = params.middleBlock;
    h = runBlock({ res: res1, transformer }, config, h, time, context);
    h = resBlock(res2, h, time, config.groups);
    for (const block of params.outputBlocks) {
      h = runBlock(block, config, tf.concat([h, skips.pop()!], 3) as tf.Tensor4D, time, context);
    }
    return conv2d(params.out.conv, groupNormSilu(params.out.norm, h, { groups: config.groups, eps: 1e-5 }));
  });
}

type Context = Pick<PreparedCondition, 'tokens' | 'mask'> & {
  /** Is given shares `[B, H W, M]` and the shape they belong to. */
  readonly onAttention?: (shares: tf.Tensor3D, shape: tf.Tensor4D['shape']) => void;
};

function runBlock(
  params: UnetBlockParams,
  config: UnetConfig,
  x: tf.Tensor4D,
  time: tf.Tensor2D,
  { tokens, mask, onAttention }: Context,
): tf.Tensor4D {
  const { groups } = config;
  let h = x;
  if (params.conv) h = conv2d(params.conv, h);
  if (params.res) h = resBlock(params.res, h, time, groups);
  if (params.transformer) {
    const heads = h.shape[3] / config.headChannels;
    const { shape } = h;
    h = spatialTransformer(params.transformer, h, tokens, {
      groups,
      heads,
      ...(mask ? { mask } : {}),
      ...(onAttention && { onAttention: (shares) => onAttention(shares, shape) }),
    });
  }
  if (params.down) h = downsample(params.down, h);
  if (params.up) h = upsample(params.up, h);
  return h;
}

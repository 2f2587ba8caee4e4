// Shapes: B batch, H and W sides, N = H·W positions, M context tokens, C channels, X context width.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, groupNorm, initConv2d, initGroupNorm, type Conv2dParams, type NormParams, type Rng } from '@sgdiff/nn';
import {
  initTransformerBlock,
  transformerBlock,
  type TransformerBlockOptions,
  type TransformerBlockParams,
  type TransformerBlockSizes,
} from './transformer-block';

export type SpatialTransformerParams = {
  readonly norm: NormParams; // [C]
  readonly projIn: Conv2dParams; // [1, 1, C, C]
  readonly blocks: readonly TransformerBlockParams[];
  readonly projOut: Conv2dParams; // [1, 1, C, C]
};

/** Fresh weights. `projOut` starts at zero, so the transformer starts as the identity. */
export function initSpatialTransformer(
  sizes: TransformerBlockSizes & { readonly depth: number },
  rng: Rng,
): SpatialTransformerParams {
  const { channels, depth } = sizes;
  return {
    norm: initGroupNorm(channels),
    projIn: initConv2d(1, channels, channels, rng.fork('projIn')),
    blocks: Array.from({ length: depth }, (_, i) => initTransformerBlock(sizes, rng.fork('block', i))),
    projOut: initConv2d(1, channels, channels, rng.fork('projOut'), { gain: 0 }),
  };
}

/**
 * Transformer over the positions of an image, conditioned on context tokens, added to its input.
 *
 * @param x `[B, H, W, C]`, float32.
 * @param context `[B, M, X]`; `mask` `[B, M]`, 1 = attend. `onAttention` is called for each block.
 * @returns `[B, H, W, C]`. The caller disposes it.
 * @see arXiv:2112.10752, appendix E.2.1.
 */
export function spatialTransformer(
  params: SpatialTransformerParams,
  x: tf.Tensor4D,
  context: tf.Tensor3D,
  options: TransformerBlockOptions & { readonly groups: number },
): tf.Tensor4D {
  const [B, H, W, C] = x.shape;
  return tf.tidy(() => {
    const normed = groupNorm(params.norm, x, { groups: options.groups, eps: 1e-6 });
    let h = tf.reshape(conv2d(params.projIn, normed), [B, H * W, C]) as tf.Tensor3D; // [B, N, C], row-major
    for (const block of params.blocks) h = transformerBlock(block, h, context, options);
    return tf.add(x, conv2d(params.projOut, tf.reshape(h, [B, H, W, C]) as tf.Tensor4D)) as tf.Tensor4D;
  });
}

// Shapes: B batch, N positions, M context tokens, C width, X context width.
import * as tf from '@tensorflow/tfjs-core';
import {
  attention,
  attentionWeights,
  geglu,
  initAttention,
  initGeglu,
  initLayerNorm,
  initLinear,
  layerNorm,
  linear,
  type AttentionParams,
  type GegluParams,
  type LinearParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';

/** Weights of one transformer block; `norm1` and `attn1` exist unless it is cross-only. */
export type TransformerBlockParams = {
  readonly norm1?: NormParams;
  readonly attn1?: AttentionParams; // self
  readonly norm2: NormParams;
  readonly attn2: AttentionParams; // cross: q [C, C], k and v [X, C]
  readonly norm3: NormParams;
  readonly geglu: GegluParams; // [C, 2 · mult · C]
  readonly ffOut: LinearParams; // [mult · C, C]
};

export type TransformerBlockSizes = {
  readonly channels: number;
  readonly contextWidth: number;
  readonly feedForwardMult: number;
  readonly selfAttention: boolean;
};

export function initTransformerBlock(sizes: TransformerBlockSizes, rng: Rng): TransformerBlockParams {
  const { channels, contextWidth, feedForwardMult, selfAttention } = sizes;
  const widths = { queryWidth: channels, innerWidth: channels, outWidth: channels };
  return {
    ...(selfAttention
      ? {
          norm1: initLayerNorm(channels),
          attn1: initAttention({ ...widths, contextWidth: channels }, rng.fork('attn1')),
        }
      : {}),
    norm2: initLayerNorm(channels),
    attn2: initAttention({ ...widths, contextWidth }, rng.fork('attn2')),
    norm3: initLayerNorm(channels),
    geglu: initGeglu(channels, feedForwardMult * channels, rng.fork('geglu')),
    ffOut: initLinear(feedForwardMult * channels, channels, rng.fork('ffOut')),
  };
}

export type TransformerBlockOptions = {
  readonly heads: number;
  /** Factors of the tokens' shares: 1 for a token to attend to, 0 for padding: `[B, M]`; all 1 if left out. */
  readonly mask?: tf.Tensor2D;
  /** Is given the shares of cross-attention, `[B, N, M]`. They end with the caller's tidy. */
  readonly onAttention?: (shares: tf.Tensor3D) => void;
};

/**
 * Self-attention, cross-attention and gated feed-forward, each normalised before and added to its input.
 *
 * @param x `[B, N, C]`, float32.
 * @param context `[B, M, X]`.
 * @returns `[B, N, C]`. The caller disposes it.
 * @see arXiv:2112.10752, appendix E.2.1, table 13.
 */
export function transformerBlock(
  params: TransformerBlockParams,
  x: tf.Tensor3D,
  context: tf.Tensor3D,
  options: TransformerBlockOptions,
): tf.Tensor3D {
  const { heads, mask, onAttention } = options;
  return tf.tidy(() => {
    let h = x;
    if (params.norm1 && params.attn1) {
      const normed = layerNorm(params.norm1, h);
      h = tf.add(h, attention(params.attn1, normed, normed, { heads }));
    }
    const normed = layerNorm(params.norm2, h);
    const crossing = { heads, ...(mask ? { mask } : {}) };
    // Computed beside the attention, which never holds its shares: so being looked at does not change what it gives.
    onAttention?.(attentionWeights(params.attn2, normed, context, crossing));
    h = tf.add(h, attention(params.attn2, normed, context, crossing));
    return tf.add(h, linear(params.ffOut, geglu(params.geglu, layerNorm(params.norm3, h))));
  });
}

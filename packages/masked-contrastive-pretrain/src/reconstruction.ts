// Shapes: B batch, P image tokens, W their width, T graph tokens, L their width (3D), E width of the target.
import * as tf from '@tensorflow/tfjs-core';
import {
  attention,
  geglu,
  initAttention,
  initGeglu,
  initLayerNorm,
  initLinear,
  layerNorm,
  linear,
  type AttentionParams,
  type EmbeddingParams,
  type GegluParams,
  type NormParams,
  type LinearParams,
  type Rng,
} from '@sgdiff/nn';

/** Sizes of the reconstruction block. */
export type ReconstructionConfig = {
  /** Attention heads, each W / heads wide. Published: 8 (64 wide each, inner width 512). */
  readonly heads: number;
  /** Inner width of both attentions; default W. Published: 512 at W = 768. */
  readonly innerWidth?: number;
  /** Hidden width of the feed-forward part; default 4 W. */
  readonly hiddenWidth?: number;
};

/** Weights of one transformer block: self-attention, cross-attention, gated feed-forward, each with its own norm before it. */
export type TransformerBlockParams = {
  readonly selfNorm: NormParams;
  readonly selfAttention: AttentionParams;
  readonly crossNorm: NormParams;
  readonly crossAttention: AttentionParams;
  readonly feedNorm: NormParams;
  readonly feed: { readonly gate: GegluParams; readonly down: LinearParams };
};

/** Weights of the reconstruction: what the published block lacks are `hidden`, `position` and `out`. */
export type ReconstructionParams = {
  readonly hidden: EmbeddingParams; // weight [1, W], added to tokens with hidden pixels
  readonly position: EmbeddingParams; // weight [P, W]
  readonly block: TransformerBlockParams;
  readonly out: LinearParams; // weight [W, E]
};

/** Sizes that the block takes from its surroundings. */
export type ReconstructionSizes = {
  readonly tokens: number; // P
  readonly tokenWidth: number; // W
  readonly contextWidth: number; // L
  readonly targetWidth: number; // E
};

/** Fresh weights of one transformer block. With W 768, inner 512, context 1536, hidden 3072: 11,023,104 numbers. */
export function initTransformerBlock(
  sizes: {
    readonly width: number;
    readonly contextWidth: number;
    readonly innerWidth: number;
    readonly hiddenWidth: number;
  },
  rng: Rng,
): TransformerBlockParams {
  const { width, contextWidth, innerWidth, hiddenWidth } = sizes;
  const own = { queryWidth: width, contextWidth: width, innerWidth, outWidth: width };
  return {
    selfNorm: initLayerNorm(width),
    selfAttention: initAttention(own, rng.fork('selfAttention')),
    crossNorm: initLayerNorm(width),
    crossAttention: initAttention({ ...own, contextWidth }, rng.fork('crossAttention')),
    feedNorm: initLayerNorm(width),
    feed: {
      gate: initGeglu(width, hiddenWidth, rng.fork('feed', 'gate')),
      down: initLinear(hiddenWidth, width, rng.fork('feed', 'down')),
    },
  };
}

/** Fresh weights of the reconstruction. Made once and trained; the published code draws them anew every epoch. */
export function initReconstruction(
  config: ReconstructionConfig,
  sizes: ReconstructionSizes,
  rng: Rng,
): ReconstructionParams {
  const { tokens, tokenWidth: width, contextWidth, targetWidth } = sizes;
  const { innerWidth = width, hiddenWidth = 4 * width } = config;
  return {
    hidden: initMarks(1, width, rng.fork('hidden')),
    position: initMarks(tokens, width, rng.fork('position')),
    block: initTransformerBlock({ width, contextWidth, innerWidth, hiddenWidth }, rng.fork('block')),
    out: initLinear(width, targetWidth, rng.fork('out')),
  };
}

/**
 * One pre-norm transformer block: image tokens attend to each other, then to the graph's tokens, then think alone.
 *
 * @param x Image tokens `[B, P, W]`.
 * @param context Graph tokens `[B, T, L]`.
 * @param mask 1 for a graph token, 0 for padding: `[B, T]`.
 * @returns `[B, P, W]`. The caller disposes it.
 * @see arXiv:2211.11138, section 3.1; reference section 3.3. GELU is exact.
 */
export function transformerBlock(
  params: TransformerBlockParams,
  x: tf.Tensor3D,
  context: tf.Tensor3D,
  { heads, mask }: { readonly heads: number; readonly mask?: tf.Tensor2D },
): tf.Tensor3D {
  return tf.tidy(() => {
    const seen = layerNorm(params.selfNorm, x) as tf.Tensor3D;
    const a = tf.add(x, attention(params.selfAttention, seen, seen, { heads })) as tf.Tensor3D;
    const asked = layerNorm(params.crossNorm, a) as tf.Tensor3D;
    const b = tf.add(
      a,
      attention(params.crossAttention, asked, context, { heads, ...(mask && { mask }) }),
    ) as tf.Tensor3D;
    const gated = geglu(params.feed.gate, layerNorm(params.feedNorm, b)); // [B, P, hidden]
    return tf.add(b, linear(params.feed.down, gated)) as tf.Tensor3D;
  });
}

/**
 * The target of every image token, guessed from the masked image's tokens and the graph.
 *
 * @param x Tokens of the masked image `[B, P, W]`.
 * @param hidden 1 for a token with hidden pixels, 0 for a wholly visible one: `[B, P]`.
 * @param context Graph tokens `[B, T, L]`.
 * @param mask 1 for a graph token, 0 for padding: `[B, T]`.
 * @returns `[B, P, E]`. The caller disposes it.
 */
export function reconstruct(
  params: ReconstructionParams,
  config: ReconstructionConfig,
  x: tf.Tensor3D,
  hidden: tf.Tensor2D,
  context: tf.Tensor3D,
  mask: tf.Tensor2D,
): tf.Tensor3D {
  return tf.tidy(() => {
    const marks = tf.mul(tf.expandDims(hidden, -1), params.hidden.weight); // [B, P, 1] * [1, W]
    const tokens = tf.add(tf.add(x, params.position.weight), marks) as tf.Tensor3D;
    return linear(
      params.out,
      transformerBlock(params.block, tokens, context, { heads: config.heads, mask }),
    ) as tf.Tensor3D;
  });
}

/** Vectors added to tokens: normal with standard deviation 0.02, small beside the tokens (as in BERT and MAE). */
function initMarks(count: number, width: number, rng: Rng): EmbeddingParams {
  const values = rng.fillNormal(new Float32Array(count * width)).map((x) => 0.02 * x);
  return { weight: tf.tensor2d(values, [count, width]) };
}

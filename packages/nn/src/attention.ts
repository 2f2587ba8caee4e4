// Shapes: B batch, N query tokens, M context tokens, D inner width, h heads, d = D / h width of a head.
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import { initLinear, linear, type LinearParams } from './linear';
import type { Rng } from './rng';
import { expectShape } from './shapes';
import { hasWasmMultiply, wasmHeadMix, wasmHeadMixOverRows, wasmHeadScores } from './wasm/multiply';

export type AttentionOptions = {
  readonly heads: number;
  /** 1 = attend, 0 = ignore: `[B, M]`, float32. A query that may attend to nothing gets zeros. */
  readonly mask?: tf.Tensor2D;
};

/** Weights: q `[queryWidth, D]`, k and v `[contextWidth, D]` without bias, out `[D, outWidth]` with bias. */
export type AttentionParams = {
  readonly q: LinearParams;
  readonly k: LinearParams;
  readonly v: LinearParams;
  readonly out: LinearParams;
};

export type AttentionWidths = {
  readonly queryWidth: number;
  readonly contextWidth: number;
  readonly innerWidth: number;
  readonly outWidth: number;
};

/** Fresh weights. */
export function initAttention(widths: AttentionWidths, rng: Rng): AttentionParams {
  const { queryWidth, contextWidth, innerWidth, outWidth } = widths;
  return {
    q: initLinear(queryWidth, innerWidth, rng, { bias: false }),
    k: initLinear(contextWidth, innerWidth, rng, { bias: false }),
    v: initLinear(contextWidth, innerWidth, rng, { bias: false }),
    out: initLinear(innerWidth, outWidth, rng),
  };
}

/**
 * Multi-head attention of tokens to a context.
 *
 * @param x Queries `[B, N, queryWidth]`, float32.
 * @param context `[B, M, contextWidth]`, float32; `x` itself for self-attention.
 * @returns `[B, N, outWidth]`. The caller disposes it.
 * @throws ShapeError if a shape does not fit.
 * @see arXiv:1706.03762, section 3.2.2
 */
export function attention(
  params: AttentionParams,
  x: tf.Tensor3D,
  context: tf.Tensor3D,
  options: AttentionOptions,
): tf.Tensor3D {
  return tf.tidy(() => {
    const q = linear(params.q, x); // [B, N, D]
    const k = linear(params.k, context); // [B, M, D]
    const v = linear(params.v, context); // [B, M, D]
    return linear(params.out, scaledDotProductAttention(q, k, v, options)); // [B, N, outWidth]
  });
}

/**
 * softmax(q kᵀ / sqrt(d)) v for each head; heads are contiguous groups of d channels.
 *
 * @param q `[B, N, D]`. @param k `[B, M, D]`. @param v `[B, M, D]`. All float32.
 * @returns `[B, N, D]`; zeros where the mask leaves nothing to attend to. The caller disposes it.
 * @throws ShapeError if the shapes do not fit each other or the heads.
 * @see arXiv:1706.03762, equation 1
 */
export function scaledDotProductAttention(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  { heads, mask }: AttentionOptions,
): tf.Tensor3D {
  const [B, , D] = q.shape;
  const M = k.shape[1];
  expectShape('scaledDotProductAttention', { k, v }, { k: [B, M, D], v: [B, M, D] });
  if (mask) expectShape('scaledDotProductAttention', { mask }, { mask: [B, M] });
  if (!Number.isInteger(heads) || heads < 1 || D % heads !== 0) {
    throw new ShapeError(`scaledDotProductAttention: expected heads to divide a width of ${D}, received ${heads}.`);
  }
  const scale = 1 / Math.sqrt(D / heads);
  return withGradient<tf.Tensor3D>(
    [q, k, v],
    (save) => {
      const queries = tf.mul(q, scale) as tf.Tensor3D;
      const scores = headScores(queries, k, heads); // [B h, N, M]
      const weights = tf.softmax(mask ? maskScores(scores, mask, heads) : scores);
      const mixed = headMix(weights, v, heads); // [B, N, D]
      save(mask ? [queries, k, v, weights, mixed, mask] : [queries, k, v, weights, mixed]);
      return mask ? tf.mul(mixed, attends(mask)) : mixed;
    },
    (dy, saved) => {
      const [queries, k2, v2, weights, mixed] = saved as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
      const mask2 = saved[5] as tf.Tensor2D | undefined;
      const dMixed = (mask2 ? tf.mul(dy, attends(mask2)) : dy) as tf.Tensor3D; // [B, N, D]
      const dWeights = headScores(dMixed, v2, heads); // [B h, N, M]
      // The mean of dWeights under the weights is also this product, which is smaller.
      const mean = headSums(tf.mul(dMixed, mixed) as tf.Tensor3D, heads); // [B h, N, 1]
      const dScores = tf.mul(weights, tf.sub(dWeights, mean)) as tf.Tensor3D;
      const dQ = tf.mul(headMix(dScores, k2, heads), scale);
      return [dQ, headMixOverRows(dScores, queries, heads), headMixOverRows(weights, dMixed, heads)];
    },
  );
}

/** `q kᵀ` of each head, `[B, N, D]` and `[B, M, D]` -> `[B h, N, M]`. */
function headScores(q: tf.Tensor3D, k: tf.Tensor3D, heads: number): tf.Tensor3D {
  if (hasWasmMultiply()) return wasmHeadScores(q, k, heads);
  return tf.matMul(splitHeads(q, heads), splitHeads(k, heads), false, true);
}

/** `weights v` of each head, `[B h, N, M]` and `[B, M, D]` -> `[B, N, D]`. */
function headMix(weights: tf.Tensor3D, v: tf.Tensor3D, heads: number): tf.Tensor3D {
  if (hasWasmMultiply()) return wasmHeadMix(weights, v, heads);
  return mergeHeads(tf.matMul(weights, splitHeads(v, heads)), heads);
}

/** `weightsᵀ y` of each head, `[B h, N, M]` and `[B, N, D]` -> `[B, M, D]`. */
function headMixOverRows(weights: tf.Tensor3D, y: tf.Tensor3D, heads: number): tf.Tensor3D {
  if (hasWasmMultiply()) return wasmHeadMixOverRows(weights, y, heads);
  return mergeHeads(tf.matMul(weights, splitHeads(y, heads), true, false), heads);
}

/** Sums over the width of each head, `[B, N, D]` -> `[B h, N, 1]`. */
function headSums(x: tf.Tensor3D, heads: number): tf.Tensor3D {
  const [B, N, D] = x.shape;
  const sums = tf.sum(tf.reshape(x, [B, N, heads, D / heads]), -1); // [B, N, h]
  return tf.reshape(tf.transpose(sums, [0, 2, 1]), [B * heads, N, 1]);
}

/** `[B, N, D]` -> `[B h, N, d]`. */
function splitHeads(x: tf.Tensor3D, heads: number): tf.Tensor3D {
  const [B, N, D] = x.shape;
  return tf.reshape(tf.transpose(tf.reshape(x, [B, N, heads, D / heads]), [0, 2, 1, 3]), [B * heads, N, D / heads]);
}

/** `[B h, N, d]` -> `[B, N, D]`. */
function mergeHeads(x: tf.Tensor3D, heads: number): tf.Tensor3D {
  const [Bh, N, d] = x.shape;
  return tf.reshape(tf.transpose(tf.reshape(x, [Bh / heads, heads, N, d]), [0, 2, 1, 3]), [Bh / heads, N, heads * d]);
}

/** 1 for images with something to attend to, else 0: `[B, 1, 1]`. */
function attends(mask: tf.Tensor2D): tf.Tensor3D {
  return tf.reshape(tf.max(mask, 1), [mask.shape[0], 1, 1]);
}

/** Scores `[B h, N, M]` with -1e9 where the mask is 0. */
function maskScores(scores: tf.Tensor3D, mask: tf.Tensor2D, heads: number): tf.Tensor3D {
  const [Bh, N, M] = scores.shape;
  const B = Bh / heads;
  const penalty = tf.reshape(tf.mul(tf.sub(mask, 1), 1e9), [B, 1, M]);
  return tf.reshape(tf.add(tf.reshape(scores, [B, heads * N, M]), penalty), [Bh, N, M]);
}

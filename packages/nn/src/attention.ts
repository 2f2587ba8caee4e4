// Shapes: B batch, N query tokens, M context tokens, D inner width, h heads, d = D / h width of a head.
import * as tf from '@tensorflow/tfjs-core';
import { ShapeError } from './errors';
import { initLinear, linear, type LinearParams } from './linear';
import type { Rng } from './rng';
import { expectShape } from './shapes';

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
  const [B, N, D] = q.shape;
  const M = k.shape[1];
  expectShape('scaledDotProductAttention', { k, v }, { k: [B, M, D], v: [B, M, D] });
  if (mask) expectShape('scaledDotProductAttention', { mask }, { mask: [B, M] });
  if (!Number.isInteger(heads) || heads < 1 || D % heads !== 0) {
    throw new ShapeError(`scaledDotProductAttention: expected heads to divide a width of ${D}, received ${heads}.`);
  }
  const d = D / heads;
  return tf.tidy(() => {
    const split = (t: tf.Tensor3D): tf.Tensor3D =>
      tf.reshape(tf.transpose(tf.reshape(t, [B, t.shape[1], heads, d]), [0, 2, 1, 3]), [B * heads, t.shape[1], d]);
    const scores = tf.mul(tf.matMul(split(q), split(k), false, true), 1 / Math.sqrt(d)); // [B h, N, M]
    const masked = mask ? maskScores(scores as tf.Tensor3D, mask, heads) : (scores as tf.Tensor3D);
    const mixed = tf.matMul(tf.softmax(masked), split(v)); // [B h, N, d]
    const merged = tf.transpose(tf.reshape(mixed, [B, heads, N, d]), [0, 2, 1, 3]); // [B, N, h, d]
    const y = tf.reshape(merged, [B, N, D]) as tf.Tensor3D;
    return mask ? tf.mul(y, tf.reshape(tf.max(mask, 1), [B, 1, 1])) : y;
  });
}

function maskScores(scores: tf.Tensor3D, mask: tf.Tensor2D, heads: number): tf.Tensor3D {
  const [Bh, N, M] = scores.shape;
  const B = Bh / heads;
  const penalty = tf.mul(tf.sub(mask, 1), 1e9); // 0 or -1e9
  return tf.reshape(tf.add(tf.reshape(scores, [B, heads * N, M]), tf.reshape(penalty, [B, 1, M])), [Bh, N, M]);
}

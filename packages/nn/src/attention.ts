// Shapes: B batch, N query tokens, M context tokens, D inner width, h heads, d = D / h width of a head.
import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import { initLinear, linear, type LinearParams } from './linear';
import type { Rng } from './rng';
import { expectShape } from './shapes';
import { wasmAttention, wasmAttentionGradient } from './wasm/attention';
import { hasWasmKernels } from './wasm/multiply';
import { hasWebgpuAttention, webgpuAttention } from './webgpu/attention';
import { webgpuAttentionGradient } from './webgpu/attention-gradient';

export type AttentionOptions = {
  readonly heads: number;
  /**
   * How much each token counts, at least 0: `[B, M]`, float32. Its share of the attention is multiplied by it before the shares
   * of a query are brought to the sum 1: 1 = attend, 0 = ignore, and in between or above it less or more than usual. A query
   * that may attend to nothing gets zeros. No gradient.
   */
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
 * How `attention` shares out each query over the tokens, as a mean over the heads.
 *
 * @param x Queries `[B, N, queryWidth]`, float32.
 * @param context `[B, M, contextWidth]`, float32.
 * @returns `[B, N, M]`: from 0, exactly 0 for an ignored token, each row with the sum 1 (0 where there is nothing to attend to).
 *   The caller disposes it.
 * @throws ShapeError if a shape does not fit.
 */
export function attentionWeights(
  params: Pick<AttentionParams, 'q' | 'k'>,
  x: tf.Tensor3D,
  context: tf.Tensor3D,
  { heads, mask }: AttentionOptions,
): tf.Tensor3D {
  return tf.tidy(() => {
    const q = linear(params.q, x); // [B, N, D]
    const k = linear(params.k, context); // [B, M, D]
    const [B, N, D] = q.shape;
    const M = k.shape[1];
    expectShape('attentionWeights', { k }, { k: [B, M, D] });
    if (mask) expectShape('attentionWeights', { mask }, { mask: [B, M] });
    expectHeads('attentionWeights', heads, D);
    expectAlive('attentionWeights', { mask });
    const weights = tf.reshape(weightsOf(q, k, mask, heads), [B, heads, N, M]);
    const mean = tf.mean<tf.Tensor3D>(weights, 1); // [B, N, M]
    return mask ? tf.mul(mean, attends(mask)) : mean;
  });
}

/**
 * softmax(q kᵀ / sqrt(d) + log mask) v for each head; heads are contiguous groups of d channels.
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
  expectHeads('scaledDotProductAttention', heads, D);
  expectAlive('scaledDotProductAttention', { mask });
  const kernels = attentionKernels(D / heads);
  return withGradient<tf.Tensor3D>(
    'scaledDotProductAttention',
    { q, k, v },
    (save) => {
      const { y, rest } = kernels.forward(q, k, v, mask, heads);
      const saved: tf.Tensor[] = [q, k, v, y];
      if (rest) saved.push(rest);
      if (mask) saved.push(mask);
      save(saved);
      return y;
    },
    (dy, saved) => {
      const [q2, k2, v2, y] = saved as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
      const rest = saved.slice(4);
      const mask2 = mask && (rest.pop() as tf.Tensor2D);
      return kernels.backward(dy, q2, k2, v2, mask2, y, rest[0] as tf.Tensor3D | undefined, heads);
    },
  );
}

function expectHeads(where: string, heads: number, D: number): void {
  if (Number.isInteger(heads) && heads >= 1 && D % heads === 0) return;
  throw new ShapeError(`${where}: expected heads to divide a width of ${D}, received ${heads}.`);
}

/** Attention and its gradient on a backend. `rest`: what the gradient can use besides y. */
type AttentionKernels = {
  forward(
    q: tf.Tensor3D,
    k: tf.Tensor3D,
    v: tf.Tensor3D,
    mask: tf.Tensor2D | undefined,
    heads: number,
  ): { y: tf.Tensor3D; rest?: tf.Tensor3D };
  backward(
    dy: tf.Tensor3D,
    q: tf.Tensor3D,
    k: tf.Tensor3D,
    v: tf.Tensor3D,
    mask: tf.Tensor2D | undefined,
    y: tf.Tensor3D,
    rest: tf.Tensor3D | undefined,
    heads: number,
  ): tf.Tensor3D[];
};

function attentionKernels(headWidth: number): AttentionKernels {
  if (hasWasmKernels()) return withSums(wasmAttention, wasmAttentionGradient);
  if (hasWebgpuAttention(headWidth)) return withSums(webgpuAttention, webgpuAttentionGradient);
  return { forward: composedAttention, backward: composedGradient };
}

/** Kernels that keep the logarithms of the sums of exponentials, and compute the weights again. */
function withSums(forward: typeof wasmAttention, backward: typeof wasmAttentionGradient): AttentionKernels {
  return {
    forward(...args) {
      const { y, lse } = forward(...args);
      return { y, rest: lse };
    },
    backward: (dy, q, k, v, mask, y, rest, heads) => backward(dy, q, k, v, mask, y, rest!, heads),
  };
}

/** Weights of queries `[B h, n, M]`, of which there are at most so many numbers at a time. */
const MOST_WEIGHTS = 2 ** 20;

/** The composition of tfjs' operations that serves where there are no kernels. Few weights are kept, many made anew, some queries at a time. */
const composedAttention: AttentionKernels['forward'] = (q, k, v, mask, heads) =>
  tf.tidy(() => {
    const values = splitHeads(v, heads);
    const masked = (mixed: tf.Tensor3D): tf.Tensor3D => (mask ? tf.mul(mixed, attends(mask)) : mixed);
    const parts = stretches(q, k, heads);
    if (parts.length === 1) {
      const weights = weightsOf(q, k, mask, heads);
      return { y: masked(mergeHeads(tf.matMul(weights, values), heads)), rest: weights };
    }
    const rows = parts.map(([begin, size]) =>
      mergeHeads(tf.matMul(weightsOf(queriesOf(q, begin, size), k, mask, heads), values), heads),
    );
    return { y: masked(tf.concat(rows, 1)) }; // [B, N, D]
  });

const composedGradient: AttentionKernels['backward'] = (dy, q, k, v, mask, y, kept, heads) => {
  const scale = 1 / Math.sqrt(q.shape[2] / heads);
  const dMixed = mask ? tf.mul<tf.Tensor3D>(dy, attends(mask)) : dy; // [B, N, D]
  const [keys, values] = [splitHeads(k, heads), splitHeads(v, heads)]; // [B h, M, d]
  // The mean of the weights' gradient under the weights is also this product, which is smaller.
  const means = headSums(tf.mul(dMixed, y), heads); // [B h, N, 1]
  const dQ: tf.Tensor3D[] = [];
  let dK: tf.Tensor3D | undefined;
  let dV: tf.Tensor3D | undefined;
  for (const [begin, size] of stretches(q, k, heads)) {
    const queries = queriesOf(q, begin, size);
    const weights = kept ?? weightsOf(queries, k, mask, heads); // [B h, n, M]
    const slopes = splitHeads(queriesOf(dMixed, begin, size), heads); // [B h, n, d]
    const mean = size === q.shape[1] ? means : tf.slice(means, [0, begin, 0], [-1, size, 1]);
    const dScores = tf.mul(tf.mul(weights, tf.sub(tf.matMul(slopes, values, false, true), mean)), scale);
    dQ.push(mergeHeads(tf.matMul(dScores, keys), heads));
    const dKeys = tf.matMul<tf.Tensor3D>(dScores, splitHeads(queries, heads), true, false);
    const dValues = tf.matMul<tf.Tensor3D>(weights, slopes, true, false);
    dK = dK ? tf.add<tf.Tensor3D>(dK, dKeys) : dKeys;
    dV = dV ? tf.add<tf.Tensor3D>(dV, dValues) : dValues;
  }
  return [dQ.length === 1 ? dQ[0]! : tf.concat(dQ, 1), mergeHeads(dK!, heads), mergeHeads(dV!, heads)];
};

/** Stretches of queries `[begin, size]` whose weights are few enough. */
function stretches(q: tf.Tensor3D, k: tf.Tensor3D, heads: number): [number, number][] {
  const [B, N] = q.shape;
  const size = Math.max(1, Math.min(N, Math.floor(MOST_WEIGHTS / (B * heads * k.shape[1]))));
  return Array.from({ length: Math.ceil(N / size) }, (_, i) => [i * size, Math.min(size, N - i * size)]);
}

function queriesOf(x: tf.Tensor3D, begin: number, size: number): tf.Tensor3D {
  return size === x.shape[1] ? x : tf.slice(x, [0, begin, 0], [-1, size, -1]);
}

/** `[B h, N, M]`, each row with the sum 1. */
function weightsOf(q: tf.Tensor3D, k: tf.Tensor3D, mask: tf.Tensor2D | undefined, heads: number): tf.Tensor3D {
  const queries = splitHeads(tf.mul(q, 1 / Math.sqrt(q.shape[2] / heads)), heads);
  const scores = tf.matMul<tf.Tensor3D>(queries, splitHeads(k, heads), false, true);
  return tf.softmax(mask ? maskScores(scores, mask, heads) : scores);
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
  return tf.reshape(tf.cast(tf.greater(tf.max(mask, 1), 0), 'float32'), [mask.shape[0], 1, 1]);
}

/** Scores `[B h, N, M]` with the logarithm of the mask added, -1e9 for that of 0. */
function maskScores(scores: tf.Tensor3D, mask: tf.Tensor2D, heads: number): tf.Tensor3D {
  const [Bh, N, M] = scores.shape;
  const B = Bh / heads;
  const bars = tf.where(tf.greater(mask, 0), tf.log(mask), tf.fill([B, M], -1e9));
  return tf.reshape(tf.add(tf.reshape(scores, [B, heads * N, M]), tf.reshape(bars, [B, 1, M])), [Bh, N, M]);
}

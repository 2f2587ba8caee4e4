// Shapes: B batch, N query tokens, M context tokens, D width, h heads, d = D / h width of a head.
import { type Numbers, zeros } from './numbers';

/** `softmax(q kᵀ / sqrt(d)) v` for each head, its weights as `attentionWeights` has them. */
export function scaledDotProductAttention(q: Numbers, k: Numbers, v: Numbers, heads: number, mask?: Numbers): Numbers {
  const [B, N, D] = q.shape;
  const M = k.shape[1];
  const d = D / heads;
  const y = zeros(B, N, D);
  for (let b = 0; b < B; b++)
    for (let head = 0; head < heads; head++)
      for (let n = 0; n < N; n++) {
        weightsOf(q, k, heads, mask, b, head, n).forEach((weight, m) => {
          const value = (b * M + m) * D + head * d;
          for (let i = 0; i < d; i++) y.data[(b * N + n) * D + head * d + i] += weight * v.data[value + i];
        });
      }
  return y;
}

/** Shares of the tokens in each query, `[B, N, M]`, means over the heads. */
export function attentionWeights(q: Numbers, k: Numbers, heads: number, mask?: Numbers): Numbers {
  const [B, N] = q.shape;
  const M = k.shape[1];
  const means = zeros(B, N, M);
  for (let b = 0; b < B; b++)
    for (let head = 0; head < heads; head++)
      for (let n = 0; n < N; n++) {
        weightsOf(q, k, heads, mask, b, head, n).forEach(
          (weight, m) => (means.data[(b * N + n) * M + m] += weight / heads),
        );
      }
  return means;
}

/** Exponentials of the scores times the mask, over their sum; zeros where the mask leaves nothing. */
function weightsOf(
  q: Numbers,
  k: Numbers,
  heads: number,
  mask: Numbers | undefined,
  b: number,
  head: number,
  n: number,
): number[] {
  const [, N, D] = q.shape;
  const M = k.shape[1];
  const d = D / heads;
  const shares = Array.from({ length: M }, (_, m) => (mask ? mask.data[b * M + m] : 1));
  const scores = shares.map((share, m) => {
    if (share === 0) return -Infinity;
    let sum = 0;
    for (let i = 0; i < d; i++) sum += q.data[(b * N + n) * D + head * d + i] * k.data[(b * M + m) * D + head * d + i];
    return sum / Math.sqrt(d);
  });
  const highest = scores.reduce((a, c) => Math.max(a, c), -Infinity);
  if (highest === -Infinity) return shares;
  const powers = scores.map((score, m) => shares[m] * Math.exp(score - highest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

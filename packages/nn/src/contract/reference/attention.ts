// Shapes: B batch, N query tokens, M context tokens, D width, h heads, d = D / h width of a head.
import { type Numbers, zeros } from './numbers';

/** `softmax(q kᵀ / sqrt(d)) v` for each head, over the tokens that the mask leaves; zeros where it leaves none. */
export function scaledDotProductAttention(q: Numbers, k: Numbers, v: Numbers, heads: number, mask?: Numbers): Numbers {
  const [B, N, D] = q.shape;
  const M = k.shape[1];
  const d = D / heads;
  const y = zeros(B, N, D);
  for (let b = 0; b < B; b++) {
    const tokens = Array.from({ length: M }, (_, m) => m).filter((m) => !mask || mask.data[b * M + m] !== 0);
    for (let head = 0; head < heads; head++)
      for (let n = 0; n < N; n++) {
        const query = (b * N + n) * D + head * d;
        const scores = tokens.map((m) => {
          const key = (b * M + m) * D + head * d;
          let sum = 0;
          for (let i = 0; i < d; i++) sum += q.data[query + i] * k.data[key + i];
          return sum / Math.sqrt(d);
        });
        const highest = scores.reduce((a, c) => Math.max(a, c), -Infinity);
        const powers = scores.map((score) => Math.exp(score - highest));
        const total = powers.reduce((sum, power) => sum + power, 0);
        tokens.forEach((m, t) => {
          const value = (b * M + m) * D + head * d;
          for (let i = 0; i < d; i++) y.data[query + i] += (powers[t] / total) * v.data[value + i];
        });
      }
  }
  return y;
}

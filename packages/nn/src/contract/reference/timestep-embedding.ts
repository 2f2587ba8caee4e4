import { type Numbers, zeros } from './numbers';

/** `cos(t f_i)` then `sin(t f_i)` with `f_i = maxPeriod^(-i / half)`, and a zero if the width is odd: `[B]` -> `[B, width]`. */
export function timestepEmbedding(t: Numbers, width: number, maxPeriod: number): Numbers {
  const half = Math.floor(width / 2);
  const y = zeros(t.data.length, width);
  t.data.forEach((time, b) => {
    for (let i = 0; i < half; i++) {
      const angle = time * maxPeriod ** (-i / half);
      y.data[b * width + i] = Math.cos(angle);
      y.data[b * width + half + i] = Math.sin(angle);
    }
  });
  return y;
}

// Shapes: B items.
import { type Numbers, zeros } from './numbers';

/** The sum of the numbers of each item, `[B, …]` -> `[B]`. */
export function sumItems(x: Numbers): Numbers {
  const [B] = x.shape;
  const sums = zeros(B);
  x.data.forEach((value, i) => (sums.data[Math.floor((i * B) / x.data.length)] += value));
  return sums;
}

/** The sum of all numbers. */
export function sumAll(x: Numbers): Numbers {
  return { shape: [], data: Float64Array.of(x.data.reduce((sum, value) => sum + value, 0)) };
}

import type { Numbers } from './reference';

export type Difference = {
  /** Relative to the expected number or the root mean square of all expected ones, whichever is larger. Infinity for what is not finite. */
  readonly error: number;
  readonly index: number;
};

/** The largest relative error of `received`, and where it is. */
export function largestDifference(received: ArrayLike<number>, expected: Numbers['data']): Difference {
  const scale = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0) / expected.length) || 1;
  let largest: Difference = { error: 0, index: 0 };
  expected.forEach((value, index) => {
    const difference = Math.abs(received[index] - value) / Math.max(Math.abs(value), scale);
    const error = Number.isNaN(difference) ? Infinity : difference;
    if (error > largest.error) largest = { error, index };
  });
  return largest;
}

import * as tf from '@tensorflow/tfjs-core';
import { expect } from 'vitest';

/** Allowed difference: `|received - expected| <= atol + rtol * |expected|`. */
export type Tolerance = { readonly rtol?: number; readonly atol?: number };

type Values = { readonly shape: number[] | undefined; readonly data: ArrayLike<number> };

/**
 * Compares numbers within a tolerance. NaN equals only NaN, and an infinity only the same infinity.
 *
 * Shapes are compared where both sides have one (tensors and nested arrays; a flat array has none).
 * @returns `undefined` if all are close, else a message about the worst element.
 */
export function describeDifference(
  received: unknown,
  expected: unknown,
  tolerance: Tolerance = {},
): string | undefined {
  const { rtol = 1e-5, atol = 1e-6 } = tolerance;
  const a = valuesOf(received);
  const b = valuesOf(expected);
  if (a.shape && b.shape && a.shape.join() !== b.shape.join()) {
    return `expected shape [${b.shape}], received [${a.shape}]`;
  }
  if (a.data.length !== b.data.length) return `expected ${b.data.length} values, received ${a.data.length}`;
  let worst = -1;
  let worstExcess = 0;
  let bad = 0;
  for (let i = 0; i < a.data.length; i++) {
    const x = a.data[i]!;
    const y = b.data[i]!;
    if (Object.is(x, y) || x === y) continue;
    const excess = Number.isFinite(x) && Number.isFinite(y) ? Math.abs(x - y) / (atol + rtol * Math.abs(y)) : Infinity;
    if (excess <= 1) continue;
    bad++;
    if (excess > worstExcess) {
      worstExcess = excess;
      worst = i;
    }
  }
  if (bad === 0) return undefined;
  return (
    `${bad} of ${a.data.length} values differ by more than rtol ${rtol}, atol ${atol}; ` +
    `worst at flat index ${worst}: expected ${b.data[worst]}, received ${a.data[worst]}`
  );
}

/** The largest difference beside the largest value, which is what accuracies are stated in. */
function describeError(received: unknown, expected: unknown): string {
  const [a, b] = [valuesOf(received).data, valuesOf(expected).data];
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    difference = Math.max(difference, Math.abs(a[i]! - b[i]!));
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return `largest error ${(difference / largest).toExponential(1)} of the largest value, ${b.length} values`;
}

function valuesOf(value: unknown): Values {
  if (value instanceof tf.Tensor) return { shape: value.shape, data: value.dataSync() };
  if (typeof value === 'number') return { shape: [], data: [value] };
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    return { shape: undefined, data: value as unknown as ArrayLike<number> };
  }
  if (Array.isArray(value)) {
    const shape: number[] = [];
    for (let level: unknown = value; Array.isArray(level); level = level[0]) shape.push(level.length);
    const data = (value as unknown[]).flat(Infinity) as unknown[];
    return { shape: shape.length > 1 ? shape : undefined, data: data.map(toNumber) };
  }
  throw new TypeError(`toBeAllClose: expected a tensor, a number or an array of numbers, received ${typeof value}.`);
}

/** Goldens are JSON, which has no infinities: they are written as strings. */
function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  if (value === 'Infinity' || value === '-Infinity' || value === 'NaN') return Number(value);
  throw new TypeError(`toBeAllClose: expected a number, received ${JSON.stringify(value)}.`);
}

expect.extend({
  toBeAllClose(received: unknown, expected: unknown, tolerance: Tolerance = {}) {
    const difference = describeDifference(received, expected, tolerance);
    if (process.env['SGDIFF_SHOW_ERRORS']) {
      process.stdout.write(`${this.currentTestName ?? ''}: ${describeError(received, expected)}\n`);
    }
    return {
      pass: difference === undefined,
      message: () => difference ?? 'expected the values to differ by more than the tolerance, but all are close',
    };
  },
});

declare module 'vitest' {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- must repeat vitest's own declaration
  interface Matchers<T = any> {
    /** Passes when all values are within `atol + rtol * |expected|`; takes tensors, numbers and (typed) arrays. */
    toBeAllClose(expected: unknown, tolerance?: Tolerance): T;
  }
}

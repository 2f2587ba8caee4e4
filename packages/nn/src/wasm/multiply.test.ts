import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { createRng } from '../index';
import { hasWasmKernels, wasmMultiply, wasmMultiplyOverRows, wasmMultiplyTransposed } from './multiply';

beforeAll(() => setupBackend('wasm'));

const rng = createRng('multiply');
const normal = (...shape: number[]): tf.Tensor => tf.tensor(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);

// Every rest of 4 rows and of 8 columns, and more rows than are taken at a time.
const rows = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(127, 128, 130, 261, 1030));
const columns = fc.integer({ min: 1, max: 19 });
// float32 sums of up to 261 products of normals
const tolerance = { rtol: 1e-4, atol: 1e-4 };

/** Sum over `depth` of the products, number by number in float64. */
function plain(M: number, N: number, depth: number, product: (m: number, n: number, k: number) => number): number[] {
  return Array.from({ length: M * N }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < depth; k++) sum += product(Math.floor(i / N), i % N, k);
    return sum;
  });
}

describe('products of matrices on wasm', () => {
  it('are the sums of products for any size, with and without a bias', () => {
    fc.assert(
      fc.property(rows, columns, columns, fc.boolean(), (M, K, N, withBias) => {
        tf.tidy(() => {
          const [a, b, c, d] = [normal(M, K), normal(K, N), normal(N, K), normal(M, N)] as tf.Tensor2D[];
          const bias = normal(N) as tf.Tensor1D;
          const [as, bs, cs, ds, shifts] = [a!, b!, c!, d!, bias].map((tensor) => tensor.dataSync()) as Float32Array[];
          const shift = (n: number): number => (withBias ? shifts![n]! : 0);
          const product = plain(M, N, K, (m, n, k) => as![m * K + k]! * bs![k * N + n]!).map((sum, i) => sum + shift(i % N));
          expect(wasmMultiply(a!, b!, withBias ? bias : undefined)).toBeAllClose(product, tolerance);
          expect(wasmMultiplyTransposed(a!, c!)).toBeAllClose(
            plain(M, N, K, (m, n, k) => as![m * K + k]! * cs![n * K + k]!),
            tolerance,
          );
          expect(wasmMultiplyOverRows(a!, d!)).toBeAllClose(
            plain(K, N, M, (k, n, m) => as![m * K + k]! * ds![m * N + n]!),
            tolerance,
          );
        });
      }),
      { numRuns: 40 },
    );
  });

  it('are the same numbers for a row alone, which goes by columns, as for the row among others', () => {
    tf.tidy(() => {
      const [M, K, N] = [300, 530, 131];
      const a = normal(M, K) as tf.Tensor2D;
      const bias = normal(N) as tf.Tensor1D;
      const products = [
        (rows: tf.Tensor2D) => wasmMultiply(rows, b, bias),
        (rows: tf.Tensor2D) => wasmMultiply(rows, b),
        (rows: tf.Tensor2D) => wasmMultiplyTransposed(rows, c),
      ];
      const [b, c] = [normal(K, N), normal(N, K)] as [tf.Tensor2D, tf.Tensor2D];
      for (const product of products) {
        const whole = product(a);
        for (const [first, count] of [[0, 1], [7, 6], [40, 256]] as const) {
          const part = product(tf.slice(a, [first, 0], [count, K]));
          expect(part.dataSync()).toEqual(tf.slice(whole, [first, 0], [count, N]).dataSync());
        }
      }
    });
  });

  it('leave nothing behind', async () => {
    const [a, b] = [normal(5, 6), normal(6, 7)] as [tf.Tensor2D, tf.Tensor2D];
    await expectNoLeak(() => wasmMultiply(a, b));
    const { numBytes } = tf.memory();
    for (let i = 0; i < 100; i++) wasmMultiply(a, b).dispose();
    expect(tf.memory().numBytes).toBe(numBytes);
    tf.dispose([a, b]);
  });

  it('exist on wasm alone', async () => {
    expect(hasWasmKernels()).toBe(true);
    await setupBackend('cpu');
    expect(hasWasmKernels()).toBe(false);
    await setupBackend('wasm');
  });
});

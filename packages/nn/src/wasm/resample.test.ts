import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { createRng } from '../index';
import { wasmUpsample2x, wasmUpsample2xGradient } from './resample';
import { wasmSumRows } from './sum-rows';

beforeAll(() => setupBackend('wasm'));

const rng = createRng('resample');
const normal = (...shape: number[]): tf.Tensor => tf.tensor(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);
const side = fc.integer({ min: 1, max: 7 });

describe('upsampling on wasm', () => {
  it('repeats pixels, and its gradient adds them up, for any size', () => {
    fc.assert(
      fc.property(side, side, side, side, (B, H, W, C) => {
        tf.tidy(() => {
          const x = normal(B, H, W, C) as tf.Tensor4D;
          const y = tf.image.resizeNearestNeighbor(x, [2 * H, 2 * W]);
          expect(wasmUpsample2x(x)).toBeAllClose(y, { rtol: 0, atol: 0 });
          const dy = normal(B, 2 * H, 2 * W, C) as tf.Tensor4D;
          expect(wasmUpsample2xGradient(dy)).toBeAllClose(tf.mul(tf.avgPool(dy, 2, 2, 'valid'), 4), { rtol: 1e-5, atol: 1e-6 });
        });
      }),
      { numRuns: 40 },
    );
  });
});

describe('sums over rows on wasm', () => {
  it('are right for any size', () => {
    const rows = fc.oneof(side, fc.constantFrom(63, 64, 65, 66, 67, 200)); // around parts of 64 rows, and each rest of 4
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 13 }), (N, O) => {
        tf.tidy(() => {
          const x = normal(N, O) as tf.Tensor2D;
          const values = x.dataSync();
          const sums = new Float64Array(O);
          values.forEach((value, i) => (sums[i % O]! += value));
          expect(wasmSumRows(x)).toBeAllClose(sums, { rtol: 1e-5, atol: 2e-5 });
        });
      }),
      { numRuns: 40 },
    );
  });

  it('round little over many rows', () => {
    tf.tidy(() => {
      // One after the other in float32 they make 9998.56.
      expect(wasmSumRows(tf.fill<tf.Rank.R2>([100_000, 1], 0.1))).toBeAllClose([0.1 * 100_000], { rtol: 1e-5, atol: 0 });
      expect(wasmSumRows(tf.zeros([0, 3]))).toBeAllClose([0, 0, 0]);
    });
  });

  it('leave nothing behind', async () => {
    const x = normal(70, 5) as tf.Tensor2D;
    await expectNoLeak(() => wasmSumRows(x));
    const { numBytes } = tf.memory();
    for (let i = 0; i < 20; i++) wasmSumRows(x).dispose();
    expect(tf.memory().numBytes).toBe(numBytes);
    x.dispose();
  });
});

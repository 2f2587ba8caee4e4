import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { meanAll, sumAll, sumItems } from './index';

describe.each(['cpu', 'wasm'] as const)('sums on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('regression: stay accurate for millions of numbers, where tfjs on wasm is 4 % off', async () => {
    const x = tf.fill([4_000_000], 0.1);
    await expectNoLeak(() => {
      const mean = meanAll(x);
      expect(mean).toBeAllClose(0.1, { rtol: 2e-6, atol: 0 });
      return mean;
    });
    x.dispose();
  });

  it('do not depend on where the blocks end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 1600 }), (B, n) => {
        tf.tidy(() => {
          const values = Float32Array.from({ length: B * n }, (_, i) => Math.sin(i) + 1);
          const sums = Array.from({ length: B }, (_, b) =>
            values.subarray(b * n, (b + 1) * n).reduce((sum, value) => sum + value, 0),
          );
          const x = tf.tensor(values, [B, n]);
          expect(sumItems(x)).toBeAllClose(sums, { rtol: 1e-6, atol: 1e-6 });
          expect(sumAll(x)).toBeAllClose(sums.reduce((a, b) => a + b), { rtol: 1e-6, atol: 1e-6 }); // prettier-ignore
        });
      }),
      { numRuns: 40 },
    );
  });

  it('have a gradient of one for each number', () => {
    tf.tidy(() => {
      const x = tf.ones([2, 700]);
      const gradient = tf.grad((y: tf.Tensor) => sumAll(tf.square(sumItems(y))))(x);
      expect(gradient).toBeAllClose(tf.fill([2, 700], 1400));
    });
  });

  it('take empty batches', () => {
    tf.tidy(() => {
      expect(sumItems(tf.zeros([0, 3])).shape).toEqual([0]);
      expect(sumItems(tf.zeros([2, 0]))).toBeAllClose([0, 0]);
    });
  });
});

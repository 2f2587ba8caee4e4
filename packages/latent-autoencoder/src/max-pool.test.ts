import * as tf from '@tensorflow/tfjs-core';
import { createRng, valueAndGrads } from '@sgdiff/nn';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { maxPool2x2 } from './max-pool';
import { rectify } from './rectifier';

const normals = (seed: unknown, shape: number[]): tf.Tensor =>
  tf.tensor(createRng(String(seed)).fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);

const upTo = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });

describe.each(['cpu', 'wasm'] as const)('maxPool2x2 on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('is the largest of each window, for any size, and its gradient goes there', () => {
    fc.assert(
      fc.property(upTo(1, 2), upTo(2, 7), upTo(2, 7), upTo(1, 5), (B, H, W, C) => {
        const x = normals([B, H, W, C], [B, H, W, C]) as tf.Tensor4D;
        const [h, w] = [Math.floor(H / 2), Math.floor(W / 2)];
        const factors = normals('factors', [B, h, w, C]);
        const { value, grads } = valueAndGrads(() => tf.sum(tf.mul(maxPool2x2(x), factors)) as tf.Scalar, { x });
        const [values, factor] = [x.dataSync(), factors.dataSync()];
        const expected = new Float32Array(values.length);
        const at = (b: number, y: number, z: number, c: number): number => ((b * H + y) * W + z) * C + c;
        for (let i = 0; i < factor.length; i++) {
          const [c, column, row, b] = [i % C, Math.floor(i / C) % w, Math.floor(i / (C * w)) % h, Math.floor(i / (C * w * h))];
          const window = [0, 1].flatMap((y) => [0, 1].map((z) => at(b, 2 * row + y, 2 * column + z, c)));
          expected[window.reduce((best, one) => (values[one]! > values[best]! ? one : best))] = factor[i]!;
        }
        expect(grads['x']).toBeAllClose(expected, { rtol: 0, atol: 0 });
        tf.dispose([x, factors, value, grads]);
      }),
      { numRuns: 25 },
    );
  });

  it('gives the gradient of equal pixels to the first of them', () => {
    const x = tf.tensor4d([1, 2, 2, 2, 0, 0, 0, 0], [1, 2, 4, 1]); // windows 1 2 / 0 0 and 2 2 / 0 0
    const { grads } = valueAndGrads(() => tf.sum(maxPool2x2(x)) as tf.Scalar, { x });
    expect(Array.from(grads['x']!.dataSync())).toEqual([0, 1, 1, 0, 0, 0, 0, 0]);
  });

  it('leaves nothing behind', () =>
    expectNoLeak(() => {
      const x = normals(1, [1, 5, 4, 2]) as tf.Tensor4D;
      const { value, grads } = valueAndGrads(() => tf.sum(maxPool2x2(x)) as tf.Scalar, { x });
      x.dispose();
      return [value, grads];
    }));
});

describe.each(['cpu', 'wasm'] as const)('rectify on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it.each([0, 0.2])('keeps what is positive and multiplies the rest by %d, the gradient too', async (slope) => {
    const x = tf.tensor1d([-2, -0.5, 0, 0.25, 3]);
    const { grads } = valueAndGrads(() => tf.sum(rectify(x, slope)) as tf.Scalar, { x });
    expect(rectify(x, slope)).toBeAllClose([-2 * slope, -0.5 * slope, 0, 0.25, 3]);
    expect(grads['x']).toBeAllClose([slope, slope, slope, 1, 1]);
    await checkGradients((y) => rectify(y!, slope), [tf.tensor1d([-1, -0.3, 0.4, 2])]);
  });
});

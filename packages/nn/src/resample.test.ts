import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkGradients, expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import { depthToSpace, ShapeError, spaceToDepth, timestepEmbedding, upsampleNearest2x } from './index';

describe.each(['cpu', 'wasm'] as const)('resampling on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('upsampleNearest2x repeats each pixel, and its gradient adds them up', async () => {
    const x = tf.tensor4d([1, 2, 3, 4, 5, 6], [1, 1, 3, 2]);
    await expectNoLeak(() => {
      const y = upsampleNearest2x(x);
      const row = [[1, 2], [1, 2], [3, 4], [3, 4], [5, 6], [5, 6]]; // prettier-ignore
      expect(y).toBeAllClose([[row, row]]);
      return y;
    });
    await checkGradients((a) => upsampleNearest2x(a as tf.Tensor4D), [x]);
    x.dispose();
  });

  it('spaceToDepth puts row, column, channel in this order, depthToSpace undoes it', async () => {
    const x = tf.reshape(tf.range(0, 16), [1, 4, 2, 2]) as tf.Tensor4D;
    const y = spaceToDepth(x, 2);
    expect(y).toBeAllClose([[[[0, 1, 2, 3, 4, 5, 6, 7]], [[8, 9, 10, 11, 12, 13, 14, 15]]]]);
    await expectNoLeak(() => [spaceToDepth(x, 2), depthToSpace(y, 2)]);
    const weights = tf.reshape(tf.range(1, 17), [1, 4, 2, 2]);
    await checkGradients(
      (a) => tf.tidy(() => depthToSpace(tf.square(spaceToDepth(a as tf.Tensor4D, 2)), 2)),
      [weights],
      { eps: 0.1 },
    );
    tf.dispose([x, y, weights]);
  });

  it('depthToSpace undoes spaceToDepth for any size', () => {
    const size = fc.integer({ min: 1, max: 3 });
    fc.assert(
      fc.property(size, size, size, size, (block, h, w, C) => {
        tf.tidy(() => {
          const x = tf.reshape(tf.range(0, 2 * h * w * block * block * C), [2, h * block, w * block, C]) as tf.Tensor4D;
          expect(depthToSpace(spaceToDepth(x, block), block)).toBeAllClose(x, { rtol: 0, atol: 0 });
        });
      }),
      { numRuns: 15 },
    );
  });

  it('says what is not divisible', () => {
    tf.tidy(() => {
      expect(() => spaceToDepth(tf.ones([1, 4, 3, 1]), 2)).toThrow(
        new ShapeError('spaceToDepth: expected a height and width divisible by 2, received [4, 3].'),
      );
      expect(() => depthToSpace(tf.ones([1, 4, 3, 6]), 2)).toThrow(
        new ShapeError('depthToSpace: expected channels divisible by 4, received 6.'),
      );
    });
  });

  it('timestepEmbedding has the golden values, cosines first, and a zero at an odd width', async () => {
    type Golden = { t: number[]; width: number; value: { data: number[]; shape: number[] } };
    const { t, width, value } = readGolden<Golden>(import.meta.url, '../fixtures/timestep-embedding.golden.json');
    const times = tf.tensor1d(t);
    await expectNoLeak(() => timestepEmbedding(times, width));
    tf.tidy(() => {
      // An angle of 999 has an error of 3e-5 in float32.
      expect(timestepEmbedding(times, width)).toBeAllClose(tf.tensor(value.data, value.shape), { rtol: 0, atol: 6e-5 });
      const odd = timestepEmbedding(tf.tensor1d([3, 5], 'int32'), 5);
      expect(odd.shape).toEqual([2, 5]);
      expect(tf.slice(odd, [0, 4], [2, 1])).toBeAllClose([[0], [0]]);
    });
    times.dispose();
  });
});

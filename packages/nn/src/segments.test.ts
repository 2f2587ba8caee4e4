import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { checkCase } from './contract/check-case';
import { contractCase } from './contract/contract-case';
import { integers, normal } from './contract/inputs';
import * as reference from './contract/reference';
import { embedding, gatherRows, IndexError, segmentMean, ShapeError } from './index';

describe.each(['cpu', 'wasm'] as const)('rows by number on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('have the values and gradients of their definitions for any size', async () => {
    const size = fc.integer({ min: 1, max: 9 });
    const width = fc.oneof(size, fc.constantFrom(15, 16, 17, 35)); // around the 16 columns that are summed at a time
    await fc.assert(
      fc.asyncProperty(size, size, width, async (N, M, D) => {
        const cases = [
          contractCase({
            op: 'gatherRows',
            name: `${M} of [${N}, ${D}]`,
            inputs: { x: normal(N, D), ids: integers(N, M) },
            run: ({ x, ids }) => gatherRows(x, ids),
            reference: ({ x, ids }) => reference.gatherRows(x, ids),
          }),
          contractCase({
            op: 'segmentMean',
            name: `[${M}, ${D}] to ${N}`,
            inputs: { x: normal(M, D), ids: integers(N, M) },
            run: ({ x, ids }) => segmentMean(x, ids, N),
            reference: ({ x, ids }) => reference.segmentMean(x, ids, N),
          }),
        ];
        for (const test of cases) expect((await checkCase(test)).failures).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });

  it('are none for no ids', async () => {
    const [x, none, empty] = [tf.ones<tf.Rank.R2>([3, 2]), tf.tensor1d([], 'int32'), tf.zeros<tf.Rank.R2>([0, 2])];
    await expectNoLeak(() => {
      const rows = gatherRows(x, none);
      expect(rows.shape).toEqual([0, 2]);
      const means = segmentMean(empty, none, 3);
      expect(means).toBeAllClose(tf.tidy(() => tf.zeros([3, 2]).arraySync()));
      return [rows, means];
    });
    tf.dispose([x, none, empty]);
  });

  it('segmentMean gives an average of every segment back as it was', () => {
    tf.tidy(() => {
      const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
      const ids = tf.tensor1d([0, 1, 2, 1, 0], 'int32');
      expect(segmentMean(gatherRows(x, ids), ids, 3)).toBeAllClose(x);
    });
  });

  it('say which id names no row, and leave nothing behind', async () => {
    const x = tf.ones<tf.Rank.R2>([4, 2]);
    const ids = tf.tensor1d([0, 3, 4, 1], 'int32');
    const negative = tf.tensor1d([0, 3, -1, 1], 'int32');
    const floats = tf.tensor1d([0, 1]);
    await expectNoLeak(() => {
      expect(() => gatherRows(x, ids)).toThrow(new IndexError('gatherRows: expected ids from 0 to 3, received 4 at position 2.'));
      expect(() => segmentMean(x, negative, 4)).toThrow(new IndexError('segmentMean: expected ids from 0 to 3, received -1 at position 2.'));
      expect(() => embedding({ weight: x }, ids)).toThrow(new IndexError('embedding: expected ids from 0 to 3, received 4 at position 2.'));
      expect(() => gatherRows(x, floats)).toThrow(new IndexError('gatherRows: expected ids of dtype int32, received float32.'));
    });
    tf.dispose([x, ids, negative, floats]);
  });

  it('say which shape does not fit', () => {
    tf.tidy(() => {
      const ids = tf.tensor1d([0, 1], 'int32');
      expect(() => gatherRows(tf.ones([4]) as unknown as tf.Tensor2D, ids)).toThrow(
        new ShapeError('gatherRows: expected x of shape [N, D], received [4].'),
      );
      expect(() => gatherRows(tf.ones([4, 2]), tf.reshape(ids, [1, 2]) as unknown as tf.Tensor1D)).toThrow(
        new ShapeError('gatherRows: expected ids of shape [M], received [1, 2].'),
      );
      expect(() => segmentMean(tf.ones([3, 2]), ids, 2)).toThrow(
        new ShapeError('segmentMean: expected ids of shape [3], received [2].'),
      );
    });
  });
});

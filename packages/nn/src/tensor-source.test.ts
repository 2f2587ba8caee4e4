import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import { fromLayout, shapeInLayout } from './index';

beforeAll(() => setupBackend('cpu'));

const sizes = (rank: number): fc.Arbitrary<number[]> => fc.array(fc.integer({ min: 1, max: 4 }), { minLength: rank, maxLength: rank });

describe('fromLayout', () => {
  it.each([
    ['linear', 2, [1, 0]],
    ['conv', 4, [2, 3, 1, 0]],
  ] as const)('is the transposition from %s', (layout, rank, permutation) => {
    fc.assert(
      fc.property(sizes(rank), (shape) => {
        const stored = shapeInLayout(shape, layout);
        const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => i);
        const expected = tf.tidy(() => tf.transpose(tf.tensor(values, stored), [...permutation]));
        expect(expected.shape).toEqual(shape);
        expect([...fromLayout(values, shape, layout)]).toEqual([...expected.dataSync()]);
        expected.dispose();
      }),
    );
  });

  it('refuses another number of values, and ranks that a layout does not have', () => {
    expect(() => fromLayout(new Float32Array(5), [2, 3], 'linear')).toThrow(
      'fromLayout: expected 6 values for [2, 3], received 5.',
    );
    expect(() => shapeInLayout([2], 'conv')).toThrow('shapeInLayout: layout "conv" has no shape of rank 1.');
  });
});

import { readGolden } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inceptionScore, type RowMatrix } from './inception-score';

type Packed = { shape: [number, number]; data: number[] };
type Golden = {
  probabilities: Packed;
  cases: { splits: number; scores: Packed; mean: number; standardDeviation: number }[];
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/inception-score.golden.json');
const [count, width] = golden.probabilities.shape;
const probabilities: RowMatrix = { data: Float64Array.from(golden.probabilities.data), count, width };

const distributions = fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 5 })).chain(([N, C]) =>
  fc
    .array(fc.double({ min: 0.001, max: 1, noNaN: true }), { minLength: N * C, maxLength: N * C })
    .map((weights): RowMatrix => {
      const data = Float64Array.from(weights);
      for (let n = 0; n < N; n++) {
        const row = data.subarray(n * C, (n + 1) * C);
        const sum = row.reduce((so, x) => so + x, 0);
        for (let c = 0; c < C; c++) row[c] /= sum;
      }
      return { data, count: N, width: C };
    }),
);

describe('inceptionScore', () => {
  it.each(golden.cases)('agrees with scipy for $splits splits', ({ splits, scores, mean, standardDeviation }) => {
    const score = inceptionScore(probabilities, splits);
    expect(score.splits).toBeAllClose(scores.data, { rtol: 1e-12 });
    expect(score.mean).toBeAllClose(mean, { rtol: 1e-12 });
    expect(score.standardDeviation).toBeAllClose(standardDeviation, { rtol: 1e-10, atol: 1e-13 });
  });

  it('is the number of classes when each picture is certain and the classes are even', () => {
    const data = Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
    expect(inceptionScore({ data, count: 3, width: 3 }, 1).mean).toBeAllClose(3, { rtol: 1e-14 });
  });

  it('is 1 when all pictures are alike', () => {
    const data = Float32Array.of(0.25, 0.75, 0.25, 0.75);
    expect(inceptionScore({ data, count: 2, width: 2 }, 1).mean).toBe(1);
  });

  it('lies between 1 and the number of classes', () => {
    fc.assert(
      fc.property(distributions, (p) => {
        const { mean } = inceptionScore(p, 1);
        expect(mean).toBeGreaterThan(1 - 1e-12);
        expect(mean).toBeLessThan(Math.min(p.width, p.count) + 1e-9);
      }),
    );
  });

  it('says when rows are no probabilities, and when there are too many splits', () => {
    expect(() => inceptionScore({ data: Float32Array.of(2, -1), count: 1, width: 2 }, 1)).toThrow(
      'inceptionScore: expected probabilities, received -1 in row 0. Apply a softmax to logits.',
    );
    expect(() => inceptionScore({ data: Float32Array.of(0.5, 0.25), count: 1, width: 2 }, 1)).toThrow(
      'inceptionScore: expected rows that sum to 1, received 0.75 for row 0. Apply a softmax to logits.',
    );
    expect(() => inceptionScore({ data: Float32Array.of(0.5, NaN), count: 1, width: 2 }, 1)).toThrow(
      'received NaN in row 0',
    );
    expect(() => inceptionScore({ data: Float32Array.of(0.5, 0.5), count: 1, width: 2 })).toThrow(
      'inceptionScore: expected 1 to 1 splits for 1 pictures, received 10.',
    );
    expect(() => inceptionScore({ data: Float32Array.of(0.5), count: 1, width: 2 })).toThrow(
      'inceptionScore: expected count * width = 1 * 2 values, received 1.',
    );
  });
});

import { readGolden } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFeatureAccumulator, featureStatistics } from './feature-statistics';
import { frechetDistance } from './frechet-distance';
import type { RowMatrix } from './inception-score';

type Packed = { shape: [number, number]; data: number[] };
type Golden = {
  cases: {
    name: string;
    a: Packed;
    b: Packed;
    distance: number;
    scipy: number | null;
    mean: Packed;
    covariance: Packed;
  }[];
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/frechet.golden.json');
const rows = ({ shape, data }: Packed): RowMatrix => ({
  data: Float64Array.from(data),
  count: shape[0],
  width: shape[1],
});
const between = (a: RowMatrix, b: RowMatrix): number => {
  const [p, q] = [featureStatistics(a), featureStatistics(b)];
  return frechetDistance(p.mean, p.covariance, q.mean, q.covariance);
};
const diagonal = (values: number[]): Float64Array =>
  Float64Array.from({ length: values.length ** 2 }, (_, i) =>
    i % (values.length + 1) === 0 ? values[i / (values.length + 1)] : 0,
  );

/** Features of one width: two sets of different sizes, often fewer rows than columns. */
const featurePair = fc.integer({ min: 1, max: 5 }).chain((width) => {
  const set = fc
    .integer({ min: 2, max: 8 })
    .chain((count) =>
      fc
        .array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: count * width, maxLength: count * width })
        .map((data): RowMatrix => ({ data: Float64Array.from(data), count, width })),
    );
  return fc.tuple(set, set);
});

describe('frechetDistance', () => {
  it.each(golden.cases)('agrees with the value to 60 digits: $name', ({ a, b, distance }) => {
    // Covariances are float64 here and there, summed in another order.
    expect(between(rows(a), rows(b))).toBeAllClose(distance, { rtol: 1e-12, atol: 1e-12 });
  });

  it.each(golden.cases.filter((c) => c.scipy !== null))('agrees with scipy: $name', ({ a, b, scipy }) => {
    // scipy's square root of a product that is not symmetric loses digits when eigenvalues lie far apart: 4e-9 here.
    expect(between(rows(a), rows(b))).toBeAllClose(scipy, { rtol: 1e-8 });
  });

  it('is the sum of (mean difference)^2 + (difference of deviations)^2 for independent features', () => {
    const distance = frechetDistance(
      Float64Array.of(1, -2, 0),
      diagonal([4, 9, 0]),
      Float64Array.of(0, 0, 0),
      diagonal([1, 0, 16]),
    );
    expect(distance).toBeAllClose(1 + 4 + (2 - 1) ** 2 + 3 ** 2 + 4 ** 2, { rtol: 1e-14 });
  });

  it('is 0 between a singular Gaussian and itself, to rounding', () => {
    const few = rows(golden.cases[3].a); // 5 pictures, 12 features
    expect(Math.abs(between(few, few))).toBeLessThan(1e-13);
  });

  it('is the squared distance of the means for two points', () => {
    expect(frechetDistance(Float64Array.of(3, 4), diagonal([0, 0]), Float64Array.of(0, 0), diagonal([0, 0]))).toBe(25);
  });

  it('is symmetric and never clearly negative', () => {
    fc.assert(
      fc.property(featurePair, ([a, b]) => {
        const distance = between(a, b);
        expect(distance).toBeGreaterThan(-1e-10);
        expect(between(b, a)).toBeAllClose(distance, { rtol: 1e-9, atol: 1e-9 });
      }),
      { numRuns: 60 },
    );
  });

  it('does not depend on the order of the features', () => {
    fc.assert(
      fc.property(featurePair, ([a, b]) => {
        const reversed = (m: RowMatrix): RowMatrix => ({
          ...m,
          data: m.data.map((_, i) => m.data[i - (i % m.width) + (m.width - 1 - (i % m.width))]),
        });
        expect(between(reversed(a), reversed(b))).toBeAllClose(between(a, b), { rtol: 1e-9, atol: 1e-9 });
      }),
      { numRuns: 40 },
    );
  });

  it('says which covariance is not symmetric, not semi-definite or not finite, and when sizes differ', () => {
    const mu = Float64Array.of(0, 0);
    const one = diagonal([1, 1]);
    const message = (sigma: Float64Array) => () => frechetDistance(mu, one, mu, sigma);
    expect(message(Float64Array.of(1, 2, 0, 1))).toThrow(
      'frechetDistance: sigmaB: expected a symmetric covariance, received 0 at [1, 0] and 2 at [0, 1].',
    );
    const negative =
      'frechetDistance: sigmaB: expected a positive semi-definite covariance, received one with a negative direction at row 1. ' +
      'Was it computed from features, and in float64?';
    expect(message(Float64Array.of(1, 0, 0, -1))).toThrow(negative);
    expect(message(Float64Array.of(1, 2, 2, 1))).toThrow(negative);
    expect(message(Float64Array.of(0, 1, 1, 0))).toThrow('received one with a negative direction at row 0.');
    expect(message(Float64Array.of(1, NaN, NaN, 1))).toThrow(
      'frechetDistance: sigmaB: expected finite values, received NaN.',
    );
    expect(() => frechetDistance(Float64Array.of(NaN, 0), one, mu, one)).toThrow(
      'frechetDistance: expected finite means and covariances, received one that is not.',
    );
    expect(() => frechetDistance(mu, one, Float64Array.of(0), one)).toThrow(
      'frechetDistance: expected two means of D values and two covariances of D * D values, received means of 2 and 1, ' +
        'covariances of 4 and 4. Do both come from the same features?',
    );
  });
});

describe('featureStatistics', () => {
  it.each(golden.cases)('agrees with numpy: $name', ({ a, mean, covariance }) => {
    const statistics = featureStatistics(rows(a));
    expect(statistics.mean).toBeAllClose(mean.data, { rtol: 1e-12, atol: 1e-12 });
    expect(statistics.covariance).toBeAllClose(covariance.data, { rtol: 1e-12, atol: 1e-12 });
  });

  it('does not depend on how the rows are cut into batches', () => {
    const all = rows(golden.cases[1].a);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: all.count - 1 }), (cut) => {
        const accumulator = createFeatureAccumulator(all.width);
        accumulator.add({ ...all, data: all.data.subarray(0, cut * all.width), count: cut });
        accumulator.add({ ...all, data: all.data.subarray(cut * all.width), count: all.count - cut });
        const whole = featureStatistics(all);
        expect(accumulator.statistics().mean).toBeAllClose(whole.mean, { rtol: 1e-12, atol: 1e-13 });
        expect(accumulator.statistics().covariance).toBeAllClose(whole.covariance, { rtol: 1e-12, atol: 1e-12 });
      }),
      { numRuns: 20 },
    );
  });

  it('keeps its digits when the mean is large against the spread', () => {
    const data = Float64Array.of(1e9, 1e9 + 1, 1e9 + 2);
    expect(featureStatistics({ data, count: 3, width: 1 }).covariance[0]).toBe(1);
  });

  it('names the value that is not finite, the wrong width and too few rows', () => {
    const bad = { data: Float32Array.of(1, 2, 3, Infinity), count: 2, width: 2 };
    expect(() => featureStatistics(bad)).toThrow(
      'featureStatistics: expected finite features, received Infinity in row 1, column 1.',
    );
    expect(() => featureStatistics({ ...bad, count: 3 })).toThrow(
      'featureStatistics: expected count * width = 3 * 2 values, received 4.',
    );
    expect(() => featureStatistics({ data: Float32Array.of(1, 2), count: 1, width: 2 })).toThrow(
      'featureStatistics: expected at least 2 rows, received 1. A covariance needs two.',
    );
    expect(() => createFeatureAccumulator(3).add(bad)).toThrow(
      'featureStatistics: expected features of width 3, received 2.',
    );
  });
});

// Shapes: N pictures, D feature width.
import { expectRows, type RowMatrix } from './inception-score';
import { MetricsError } from './metrics-error';

/** Gaussian fitted to features, in float64. */
export type FeatureStatistics = {
  readonly count: number;
  /** `[D]` */
  readonly mean: Float64Array;
  /** `[D, D]`, row-major, divided by `count - 1` (numpy's `cov`, as every FID implementation). */
  readonly covariance: Float64Array;
};

/** Collects features batch by batch, so that all features never need to be in memory at once. */
export type FeatureAccumulator = {
  /** Adds rows; borrows them. */
  add(features: RowMatrix): void;
  /** Statistics of all rows so far. @throws MetricsError with fewer than two rows. */
  statistics(): FeatureStatistics;
};

/**
 * Mean and covariance of features, in float64.
 *
 * @param features `[N, D]`, N at least 2.
 * @throws MetricsError on fewer than two rows or a value that is not finite.
 */
export function featureStatistics(features: RowMatrix): FeatureStatistics {
  const accumulator = createFeatureAccumulator(features.width);
  accumulator.add(features);
  return accumulator.statistics();
}

/**
 * Mean and covariance over many batches. Each batch is centred on its own mean and the parts are merged exactly, so the
 * result does not lose digits when the mean is large, and depends on the batches only by rounding.
 *
 * @see Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
 */
export function createFeatureAccumulator(width: number): FeatureAccumulator {
  const D = width;
  const mean = new Float64Array(D);
  const scatter = new Float64Array(D * D); // upper triangle of the sum of centred outer products
  let count = 0;
  return {
    add(features) {
      expectRows('featureStatistics', features);
      if (features.width !== D) {
        throw new MetricsError(`featureStatistics: expected features of width ${D}, received ${features.width}.`);
      }
      const N = features.count;
      const batchMean = meanOfRows(features);
      const centred = new Float64Array(D);
      for (let n = 0; n < N; n++) {
        for (let d = 0; d < D; d++) centred[d] = features.data[n * D + d] - batchMean[d];
        addOuterProduct(scatter, centred, 1);
      }
      const total = count + N;
      for (let d = 0; d < D; d++) centred[d] = batchMean[d] - mean[d];
      if (count > 0) addOuterProduct(scatter, centred, (count * N) / total);
      for (let d = 0; d < D; d++) mean[d] = mean[d] + (centred[d] * N) / total;
      count = total;
    },
    statistics() {
      if (count < 2) {
        throw new MetricsError(
          `featureStatistics: expected at least 2 rows, received ${count}. A covariance needs two.`,
        );
      }
      const covariance = new Float64Array(D * D);
      for (let i = 0; i < D; i++) {
        for (let j = i; j < D; j++) covariance[i * D + j] = covariance[j * D + i] = scatter[i * D + j] / (count - 1);
      }
      return { count, mean: new Float64Array(mean), covariance };
    },
  };
}

function meanOfRows({ data, count, width }: RowMatrix): Float64Array {
  const mean = new Float64Array(width);
  for (let n = 0; n < count; n++) {
    for (let d = 0; d < width; d++) {
      const value = data[n * width + d];
      if (!Number.isFinite(value)) {
        throw new MetricsError(
          `featureStatistics: expected finite features, received ${value} in row ${n}, column ${d}.`,
        );
      }
      mean[d] = mean[d] + value;
    }
  }
  return mean.map((sum) => sum / count);
}

/** Upper triangle only: `scatter += weight * x x^T`. */
function addOuterProduct(scatter: Float64Array, x: Float64Array, weight: number): void {
  const D = x.length;
  for (let i = 0; i < D; i++) {
    const factor = weight * x[i];
    if (factor === 0) continue;
    const row = i * D;
    for (let j = i; j < D; j++) scatter[row + j] = scatter[row + j] + factor * x[j];
  }
}

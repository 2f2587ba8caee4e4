// Shapes: D feature width.
import { MetricsError } from './metrics-error';
import { semidefiniteFactor, singularValues, timesTransposed } from './symmetric';

/**
 * Squared Fréchet distance between two Gaussians, in float64:
 * `|muA - muB|^2 + tr(sigmaA) + tr(sigmaB) - 2 tr((sigmaA sigmaB)^(1/2))`. Between Inception features it is the FID.
 *
 * With `sigmaA = Ra^T Ra` and `sigmaB = Rb^T Rb` the last trace is the sum of the singular values of `Ra Rb^T`. Unlike
 * the square root of the product this needs no complex numbers, no added diagonal and no eigenvectors, and it is exact to
 * rounding for singular covariances: the distance of a Gaussian from itself is 0 and never clearly negative.
 *
 * @param muA `[D]`
 * @param sigmaA `[D, D]`, row-major, symmetric and positive semi-definite.
 * @throws MetricsError if sizes differ or a covariance is not symmetric, not finite or not positive semi-definite.
 * @see Dowson and Landau, 1982; arXiv:1706.08500, equation 6 (there the name FID).
 */
export function frechetDistance(
  muA: Float64Array,
  sigmaA: Float64Array,
  muB: Float64Array,
  sigmaB: Float64Array,
): number {
  const D = muA.length;
  if (D === 0 || muB.length !== D || sigmaA.length !== D * D || sigmaB.length !== D * D) {
    throw new MetricsError(
      `frechetDistance: expected two means of D values and two covariances of D * D values, received means of ` +
        `${D} and ${muB.length}, covariances of ${sigmaA.length} and ${sigmaB.length}. Do both come from the same features?`,
    );
  }
  let distance = 0;
  for (let i = 0; i < D; i++) {
    distance += (muA[i] - muB[i]) ** 2 + sigmaA[i * D + i] + sigmaB[i * D + i];
  }
  if (!Number.isFinite(distance)) {
    throw new MetricsError('frechetDistance: expected finite means and covariances, received one that is not.');
  }
  const a = semidefiniteFactor(sigmaA, D, 'frechetDistance: sigmaA');
  const b = semidefiniteFactor(sigmaB, D, 'frechetDistance: sigmaB');
  const product = timesTransposed(a.factor, b.factor, a.rank, b.rank, D); // [rank a, rank b]
  const fidelity = singularValues(product, a.rank, b.rank).reduce((sum, value) => sum + value, 0);
  return distance - 2 * fidelity;
}

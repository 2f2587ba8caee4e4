// The law of what a stochastic sampler draws, for Gaussian data. N samples.
import * as tf from '@tensorflow/tfjs-core';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { initialNoise, perItemNoise, type Denoiser, type Noise } from '../index';
import {
  GAUSSIAN,
  gaussianDenoiser,
  measuredOrder,
  MIXTURE,
  mixtureDenoiser,
  smoothSigmas,
  type Gaussian,
} from './oracles';

type Sample = (
  denoiser: Denoiser<tf.Tensor2D>,
  xT: tf.Tensor2D,
  sigmas: ArrayLike<number>,
  options: { readonly noise: Noise },
) => Promise<tf.Tensor2D>;

/** One-dimensional data. */
export type Normal = { readonly mean: number; readonly variance: number };

export const NORMAL: Normal = { mean: 0.7, variance: 0.5 };

/**
 * How fast the law of a stochastic sampler, that of exact arithmetic and a perfect denoiser, nears the data's; and `describeMoments`.
 *
 * @param order Of the error of the variance.
 * @param steps Counts, each twice the last, at which that order shows.
 */
export function describeLaw(
  label: string,
  sample: Sample,
  order: number,
  steps: readonly number[],
  drawnIn: number,
): void {
  describe(`${label}: the law of what it draws`, () => {
    beforeAll(() => setupBackend('cpu'));
    const startOf = ({ mean, variance }: Normal, sigmas: ArrayLike<number>) => ({
      mean,
      variance: variance + sigmas[0]! ** 2,
    });

    it(`nears that of a Gaussian with order ${order}, within 0.2, in its variance; the mean is exact`, async () => {
      const errors: number[] = [];
      const centred = { ...NORMAL, mean: 0 }; // for less rounding
      for (const n of steps) {
        const sigmas = smoothSigmas(10, n);
        const law = await lawOf(sample, normalDenoiser(centred), startOf(centred, sigmas), sigmas);
        errors.push(Math.abs(law.variance - centred.variance));
      }
      const measured = measuredOrder(steps, errors);
      expect(measured).toBeGreaterThan(order - 0.2);
      expect(measured).toBeLessThan(order + 0.2);
      const sigmas = smoothSigmas(10, steps[0]!);
      const { mean } = await lawOf(sample, normalDenoiser(NORMAL), startOf(NORMAL, sigmas), sigmas);
      expect(mean).toBeCloseTo(NORMAL.mean, 5);
    });
  });
  describeMoments(label, sample, drawnIn);
}

/**
 * That a stochastic sampler draws from the data's law.
 *
 * @param drawnIn Steps to draw in: enough that the error of the law is small beside the standard errors of the samples.
 */
export function describeMoments(label: string, sample: Sample, drawnIn: number): void {
  describe(`${label}: what it draws`, () => {
    beforeAll(() => setupBackend('cpu'));
    const noiseOf = (count: number) => perItemNoise(Array.from({ length: count }, (_, item) => 1000 + item));

    it('has mean and covariance of a Gaussian within 5 standard errors of 4000 samples', async () => {
      const N = 4000;
      const noise = noiseOf(N);
      const sigmas = smoothSigmas(10, drawnIn);
      const xT = initialNoise<tf.Rank.R2>(noise, [N, 2], sigmas);
      const y = await sample(gaussianDenoiser(GAUSSIAN), xT, sigmas, { noise });
      const found = momentsOf(y.dataSync());
      tf.dispose([xT, y]);
      expectWithinErrors(found, GAUSSIAN, N);
    });

    it('has the mean and the weights of a mixture within 5 standard errors of 2000 samples', async () => {
      const N = 2000;
      const noise = noiseOf(N);
      const sigmas = smoothSigmas(10, drawnIn);
      const xT = initialNoise<tf.Rank.R2>(noise, [N, 1], sigmas);
      const y = await sample(mixtureDenoiser(MIXTURE) as Denoiser<tf.Tensor2D>, xT, sigmas, { noise });
      const values = Array.from(y.dataSync());
      tf.dispose([xT, y]);
      const mean = MIXTURE.reduce((sum, part) => sum + part.weight * part.mean, 0);
      const second = MIXTURE.reduce((sum, part) => sum + part.weight * (part.std ** 2 + part.mean ** 2), 0);
      const found = values.reduce((sum, value) => sum + value, 0) / N;
      expect(Math.abs(found - mean)).toBeLessThan(5 * Math.sqrt((second - mean ** 2) / N));
      // -0.45 lies between the two parts; the mixture puts this share below it (values of the normal CDF from a table).
      const share = 0.3 * 0.969604 + 0.7 * 0.018564; // Phi(0.75 / 0.4), Phi(-1.25 / 0.6)
      const below = values.filter((value) => value < -0.45).length / N;
      expect(Math.abs(below - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / N));
    });
  });
}

/** E[x0 | x] of one-dimensional Gaussian data. */
export function normalDenoiser({ mean, variance }: Normal): Denoiser<tf.Tensor2D> {
  return (x, sigma) =>
    tf.tidy(() => tf.add(mean, tf.mul<tf.Tensor2D>(tf.sub(x, mean), variance / (variance + sigma * sigma))));
}

/**
 * Mean and variance of a sampler's result, to rounding and without drawing a sample: with a denoiser that is linear in x the result is
 * linear in the start and in every noise drawn, so their weights are what it answers to each of them alone.
 *
 * @param draws How many noises the run may draw, numbered from 0.
 */
export async function lawOf(
  sample: Sample,
  denoiser: Denoiser<tf.Tensor2D>,
  start: Normal,
  sigmas: ArrayLike<number>,
  draws = sigmas.length - 1,
): Promise<Normal> {
  const N = draws + 2; // nothing, the start, every noise
  const only = (row: number) =>
    tf.tensor2d(
      Float32Array.from({ length: N }, (_, i) => (i === row ? 1 : 0)),
      [N, 1],
    );
  const xT = only(1);
  const y = await sample(denoiser, xT, sigmas, { noise: (_, step) => only(2 + step) });
  const [rest, ...answers] = y.dataSync();
  tf.dispose([xT, y]);
  const [ofStart, ...ofNoises] = answers.map((answer) => answer - rest!);
  return {
    mean: rest! + ofStart! * start.mean,
    variance: ofNoises.reduce((sum, weight) => sum + weight ** 2, ofStart! ** 2 * start.variance),
  };
}

/** Mean and covariance of N samples `[N, 2]`. */
export function momentsOf(values: ArrayLike<number>): Gaussian {
  const n = values.length / 2;
  const mean: [number, number] = [0, 0];
  const cov: [number, number, number] = [0, 0, 0];
  for (let i = 0; i < n; i++) for (const d of [0, 1] as const) mean[d] += values[2 * i + d]! / n;
  for (let i = 0; i < n; i++) {
    const [u, v] = [values[2 * i]! - mean[0], values[2 * i + 1]! - mean[1]];
    cov[0] += (u * u) / (n - 1);
    cov[1] += (u * v) / (n - 1);
    cov[2] += (v * v) / (n - 1);
  }
  return { mean, cov };
}

/** Standard errors of n samples: of a mean sqrt(c_ii / n), of a covariance sqrt((c_ii c_jj + c_ij^2) / n). */
export function expectWithinErrors(found: Gaussian, law: Gaussian, n: number): void {
  const [xx, xy, yy] = law.cov;
  const ofMean = [xx, yy].map((variance) => Math.sqrt(variance / n));
  const ofCov = [2 * xx * xx, xx * yy + xy * xy, 2 * yy * yy].map((variance) => Math.sqrt(variance / n));
  found.mean.forEach((value, i) => expect(Math.abs(value - law.mean[i]!)).toBeLessThan(5 * ofMean[i]!));
  found.cov.forEach((value, i) => expect(Math.abs(value - law.cov[i]!)).toBeLessThan(5 * ofCov[i]!));
}

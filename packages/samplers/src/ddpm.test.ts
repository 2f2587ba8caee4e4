import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  initialNoise,
  iterateDdpm,
  perItemNoise,
  sampleDdim,
  sampleDdpm,
  samplingSigmas,
  createSchedule,
} from './index';
import { expectWithinErrors, lawOf, momentsOf, NORMAL, normalDenoiser } from './testing/describe-law';
import { describeSampler } from './testing/describe-sampler';
import { ddpmGaussianLaw, GAUSSIAN, gaussianDenoiser, MIXTURE, mixtureDenoiser } from './testing/oracles';

describeSampler('DDPM', { name: 'sampleDdpm', sample: sampleDdpm, iterate: iterateDdpm, needsNoise: 'DDPM' });
describeSampler('DDPM with the variance of beta', {
  name: 'sampleDdpm',
  sample: (denoiser, xT, sigmas, options) => sampleDdpm(denoiser, xT, sigmas, { ...options, variance: 'beta' }),
  iterate: (denoiser, xT, sigmas, options) => iterateDdpm(denoiser, xT, sigmas, { ...options, variance: 'beta' }),
  needsNoise: 'DDPM',
});

const SCHEDULE = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

describe('stochastic samplers on data with a known law', () => {
  const N = 4000;
  const STEPS = 250;
  const noiseOf = (count: number) => perItemNoise(Array.from({ length: count }, (_, item) => 1000 + item));
  const noise = noiseOf(N);
  const sigmas = samplingSigmas(SCHEDULE, STEPS);

  const samplers = [
    { label: 'DDPM', sample: sampleDdpm<tf.Tensor2D>, options: { noise } },
    { label: 'DDIM with eta 1', sample: sampleDdim<tf.Tensor2D>, options: { noise, eta: 1 } },
  ];

  for (const { label, sample, options } of samplers) {
    it(`${label} reproduces mean and covariance of a Gaussian within 5 standard errors of ${N} samples`, async () => {
      const xT = initialNoise<tf.Rank.R2>(noise, [N, 2], sigmas);
      const y = await sample(gaussianDenoiser(GAUSSIAN), xT, sigmas, options);
      const found = momentsOf(y.dataSync());
      tf.dispose([xT, y]);
      // In exact arithmetic the chain has a Gaussian law of its own, a step-size error away from the data's.
      const law = ddpmGaussianLaw(GAUSSIAN, sigmas);
      expectWithinErrors(found, law, N);
      expectWithinErrors(found, GAUSSIAN, N);
    });
  }

  it('the law of DDPM nears the data, halving the error of its variance when the steps double', async () => {
    const errors: number[] = [];
    for (const steps of [125, 250, 500]) {
      const levels = samplingSigmas(SCHEDULE, steps);
      const start = { mean: 0, variance: 1 + levels[0]! ** 2 };
      const law = await lawOf(sampleDdpm, normalDenoiser(NORMAL), start, levels);
      errors.push(Math.abs(law.variance - NORMAL.variance));
    }
    for (let i = 1; i < errors.length; i++) expect(errors[i]! / errors[i - 1]!).toBeLessThan(0.62);
    expect(errors[2]).toBeLessThan(0.03);
  });

  it('DDPM reproduces the weights of a mixture within 5 standard errors', async () => {
    const n = 2000;
    const draw = noiseOf(n);
    const levels = samplingSigmas(SCHEDULE, 100);
    const xT = initialNoise<tf.Rank.R2>(draw, [n, 1], levels);
    const y = await sampleDdpm(mixtureDenoiser(MIXTURE), xT, levels, { noise: draw });
    const values = Array.from(y.dataSync());
    tf.dispose([xT, y]);
    const mean = MIXTURE.reduce((sum, part) => sum + part.weight * part.mean, 0);
    const second = MIXTURE.reduce((sum, part) => sum + part.weight * (part.std ** 2 + part.mean ** 2), 0);
    const variance = second - mean ** 2;
    const found = values.reduce((sum, value) => sum + value, 0) / n;
    expect(Math.abs(found - mean)).toBeLessThan(5 * Math.sqrt(variance / n));
    // -0.45 lies between the two parts; the mixture puts this share below it (values of the normal CDF from a table).
    const share = 0.3 * 0.969604 + 0.7 * 0.018564; // Phi(0.75 / 0.4), Phi(-1.25 / 0.6)
    const below = values.filter((value) => value < -0.45).length / n;
    expect(Math.abs(below - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / n));
  });
});

describe('sampleDdpm', () => {
  it('with the variance of beta adds more noise than the posterior, by the ratio of the two', async () => {
    const [sigma, sigmaNext] = [3, 2];
    const one = (shape: readonly number[]) => tf.ones([...shape]);
    const xT = tf.zeros([1, 1]) as tf.Tensor2D;
    const added: number[] = [];
    for (const variance of ['posterior', 'beta'] as const) {
      for await (const { index, x } of iterateDdpm((x) => tf.zerosLike(x), xT, [sigma, sigmaNext, 0], {
        noise: one,
        variance,
      })) {
        if (index === 0) added.push(x.dataSync()[0]!);
      }
    }
    xT.dispose();
    expect(added).toBeAllClose([Math.sqrt((4 / 9) * 5), Math.sqrt((5 / 10) * 5)], { rtol: 1e-6 });
  });

  it('rejects an unknown variance', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    const variance = 'learned' as 'beta';
    await expect(sampleDdpm((x) => x, xT, [1, 0], { variance })).rejects.toThrow(
      "sampleDdpm: expected variance to be one of 'posterior', 'beta', received 'learned'.",
    );
    xT.dispose();
  });
});

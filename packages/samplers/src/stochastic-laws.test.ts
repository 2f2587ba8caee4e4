import type * as tf from '@tensorflow/tfjs-core';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSchedule,
  sampleDdpm,
  sampleDpmSolverPp2mSde,
  sampleDpmSolverPp2sAncestral,
  sampleDpmSolverPp3mSde,
  sampleEulerAncestral,
  samplingSigmas,
} from './index';
import { lawOf, NORMAL, normalDenoiser } from './testing/describe-law';

/** Error of the variance in percent, at 10, 20, 40 and 80 steps, as the README prints it. */
const README = [
  { label: 'DDPM', sample: sampleDdpm<tf.Tensor2D>, percent: [-48.9, -33.1, -21.3, -13.1] },
  { label: 'Euler ancestral', sample: sampleEulerAncestral<tf.Tensor2D>, percent: [-48.9, -33.1, -21.3, -13.1] },
  { label: '2S ancestral', sample: sampleDpmSolverPp2sAncestral<tf.Tensor2D>, percent: [-34.2, -18, -9.1, -4.4] },
  { label: '2M SDE', sample: sampleDpmSolverPp2mSde<tf.Tensor2D>, percent: [-34, -13.3, -4.6, -1.1] },
  { label: '3M SDE', sample: sampleDpmSolverPp3mSde<tf.Tensor2D>, percent: [-21, -5.9, -2.7, -0.4] },
];

describe("the variance that stochastic samplers give a Gaussian on SGDiff's schedule", () => {
  beforeAll(() => setupBackend('cpu'));
  const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

  for (const { label, sample, percent } of README) {
    it(`is off as the README says, for ${label}`, async () => {
      const found: number[] = [];
      for (const steps of [10, 20, 40, 80]) {
        const sigmas = samplingSigmas(schedule, steps);
        const start = { mean: NORMAL.mean, variance: NORMAL.variance + sigmas[0]! ** 2 };
        const { variance } = await lawOf(sample, normalDenoiser(NORMAL), start, sigmas);
        found.push(100 * (variance / NORMAL.variance - 1));
      }
      expect(found).toBeAllClose(percent, { rtol: 0, atol: 0.06 }); // printed to one place
    });
  }
});

import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  ancestralSigmas,
  createSchedule,
  denoiserFromModel,
  iterateDpmSolverPp2sAncestral,
  perItemNoise,
  sampleDpmSolverPp2sAncestral,
  samplingSigmas,
} from './index';
import { describeLaw } from './testing/describe-law';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

const callsWith = (eta: number) => (index: number, sigmas: ArrayLike<number>) => {
  const [sigma, sigmaNext] = [sigmas[index]!, sigmas[index + 1]!];
  return sigmaNext > 0 ? [sigma, Math.sqrt(sigma * ancestralSigmas(sigma, sigmaNext, eta).sigmaDown)] : [sigma];
};

describeSampler('DPM-Solver++ 2S ancestral', {
  name: 'sampleDpmSolverPp2sAncestral',
  sample: sampleDpmSolverPp2sAncestral,
  iterate: iterateDpmSolverPp2sAncestral,
  needsNoise: 'eta 1',
  callsOf: callsWith(1),
});
describeSampler('DPM-Solver++ 2S', {
  name: 'sampleDpmSolverPp2sAncestral',
  sample: (denoiser, xT, sigmas, options) => sampleDpmSolverPp2sAncestral(denoiser, xT, sigmas, { ...options, eta: 0 }),
  iterate: (denoiser, xT, sigmas, options) =>
    iterateDpmSolverPp2sAncestral(denoiser, xT, sigmas, { ...options, eta: 0 }),
  callsOf: callsWith(0),
});
describeOrder(
  'DPM-Solver++ 2S',
  (denoiser, xT, sigmas) => sampleDpmSolverPp2sAncestral(denoiser, xT, sigmas, { eta: 0 }),
  2,
  [0.103, 0.051, 0.025, 0.012],
);
describeLaw('DPM-Solver++ 2S ancestral', sampleDpmSolverPp2sAncestral, 2, [80, 160, 320], 100);

describe('sampleDpmSolverPp2sAncestral', () => {
  it('asks at the next level itself with eta 1, and never below it: so never below a schedule', async () => {
    const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
    const sigmas = samplingSigmas(schedule, 1000);
    for (const eta of [0, 0.3, 1]) {
      const seen: number[] = [];
      const denoiser = denoiserFromModel<tf.Tensor2D>((x) => tf.tanh(x), schedule, 'x0');
      const xT = tf.ones([1, 1]) as tf.Tensor2D;
      const noise = perItemNoise([1]);
      const y = await sampleDpmSolverPp2sAncestral(
        (x, sigma, step) => (seen.push(sigma), denoiser(x, sigma, step)),
        xT,
        sigmas,
        { noise, eta },
      );
      tf.dispose([xT, y]);
      expect(seen.length).toBe(1999);
      for (let step = 0; step < 999; step++) {
        expect(seen[2 * step + 1]! / sigmas[step + 1]!).toBeGreaterThan(1 - 1e-12);
        if (eta === 1) expect(seen[2 * step + 1]! / sigmas[step + 1]!).toBeCloseTo(1, 12);
      }
    }
  });
});

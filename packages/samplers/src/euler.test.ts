import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  createSchedule,
  initialNoise,
  iterateEuler,
  perItemNoise,
  sampleDdim,
  sampleEuler,
  samplingSigmas,
  type Denoiser,
} from './index';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

describeSampler('Euler', { name: 'sampleEuler', sample: sampleEuler, iterate: iterateEuler });
// So much churn that gamma is at its largest whatever the number of steps, up to 241.
describeSampler('Euler with churn', {
  name: 'sampleEuler',
  sample: (denoiser, xT, sigmas, options) => sampleEuler(denoiser, xT, sigmas, { ...options, sChurn: 100 }),
  iterate: (denoiser, xT, sigmas, options) => iterateEuler(denoiser, xT, sigmas, { ...options, sChurn: 100 }),
  needsNoise: 'sChurn 100',
  drawsNoise: (index) => index > 0, // the last step, too
  callsOf: (index, sigmas) => {
    const gamma = Math.min(100 / (sigmas.length - 1), Math.SQRT2 - 1);
    return [Math.min(sigmas[index]! * (1 + gamma), sigmas[0]!)];
  },
});
describeOrder('Euler', sampleEuler, 1, [0.14, 0.08, 0.045, 0.025]);

describe('sampleEuler', () => {
  it('is DDIM with eta 0, to the last bit', async () => {
    const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));
    const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
    for (const steps of [1, 2, 20]) {
      const sigmas = samplingSigmas(schedule, steps);
      const xT = initialNoise<tf.Rank.R2>(perItemNoise([1, 2]), [2, 3], sigmas);
      const euler = await sampleEuler(soft, xT, sigmas);
      const ddim = await sampleDdim(soft, xT, sigmas);
      expect(Array.from(euler.dataSync())).toEqual(Array.from(ddim.dataSync()));
      tf.dispose([xT, euler, ddim]);
    }
  });
});

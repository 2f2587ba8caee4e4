import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it, vi } from 'vitest';
import {
  createSchedule,
  iterateDdim,
  sampleDdim,
  sampleDdpm,
  perItemNoise,
  initialNoise,
  samplingSigmas,
  type Denoiser,
} from './index';
import { describeSampler } from './testing/describe-sampler';
import { describeOrder } from './testing/describe-order';

describeSampler('DDIM, eta 0', { name: 'sampleDdim', sample: sampleDdim, iterate: iterateDdim });
describeSampler('DDIM, eta 1', {
  name: 'sampleDdim',
  sample: (denoiser, xT, sigmas, options) => sampleDdim(denoiser, xT, sigmas, { ...options, eta: 1 }),
  iterate: (denoiser, xT, sigmas, options) => iterateDdim(denoiser, xT, sigmas, { ...options, eta: 1 }),
  needsNoise: 'eta 1',
});
describeOrder('DDIM, eta 0', sampleDdim, 1, [0.14, 0.08, 0.045, 0.025]);

describe('sampleDdim', () => {
  const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));
  const noise = perItemNoise([1, 2]);

  it('with eta 1 is DDPM, over the full schedule and over a part of it', async () => {
    const schedule = createSchedule({ kind: 'linear', timesteps: 100, betaStart: 0.0015, betaEnd: 0.15 });
    for (const steps of [100, 7]) {
      const sigmas = samplingSigmas(schedule, steps);
      const xT = initialNoise<tf.Rank.R2>(noise, [2, 3], sigmas);
      const ddim = await sampleDdim(soft, xT, sigmas, { noise, eta: 1 });
      const ddpm = await sampleDdpm(soft, xT, sigmas, { noise });
      expect(ddim).toBeAllClose(ddpm, { rtol: 1e-5, atol: 1e-5 }); // float32 over 100 steps
      tf.dispose([xT, ddim, ddpm]);
    }
  });

  it('regression: eta 0 needs no noise and never draws any', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    const y = await sampleDdim(soft, xT, [2, 1, 0]);
    expect(Array.from(y.dataSync()).every(Number.isFinite)).toBe(true);
    tf.dispose([xT, y]);
  });

  it('lets timers through as well where setImmediate is missing, as in browsers, and MessageChannel too', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    for (const missing of [['setImmediate'], ['setImmediate', 'MessageChannel']]) {
      for (const name of missing) vi.stubGlobal(name, undefined);
      try {
        const controller = new AbortController();
        setTimeout(() => controller.abort(), 1);
        const sigmas = Array.from({ length: 2001 }, (_, i) => 2000 - i);
        await expect(sampleDdim(soft, xT, sigmas, { signal: controller.signal })).rejects.toThrow(
          /^sampleDdim: aborted after/,
        );
      } finally {
        vi.unstubAllGlobals();
      }
    }
    xT.dispose();
  });

  it('rejects an eta outside 0 to 1', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    for (const eta of [-0.1, 1.5, NaN]) {
      await expect(sampleDdim(soft, xT, [1, 0], { eta })).rejects.toThrow(
        `sampleDdim: expected eta to be a number from 0 to 1, received ${eta}.`,
      );
    }
    xT.dispose();
  });
});

import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { iterateHeun, iteratePlms, sampleHeun, type Denoiser } from './index';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

/** Levels of the network calls of a step: at its start, churned or not, and at the second place unless the step goes to 0. */
const callsOf = (sChurn: number) => (index: number, sigmas: ArrayLike<number>) => {
  const gamma = Math.min(sChurn / (sigmas.length - 1), Math.SQRT2 - 1);
  const hat = Math.min(sigmas[index]! * (1 + gamma), sigmas[0]!);
  return sigmas[index + 1]! > 0 ? [hat, sigmas[index + 1]!] : [hat];
};

describeSampler('Heun', { name: 'sampleHeun', sample: sampleHeun, iterate: iterateHeun, callsOf: callsOf(0) });
// So much churn that gamma is at its largest whatever the number of steps, up to 241.
describeSampler('Heun with churn', {
  name: 'sampleHeun',
  sample: (denoiser, xT, sigmas, options) => sampleHeun(denoiser, xT, sigmas, { ...options, sChurn: 100 }),
  iterate: (denoiser, xT, sigmas, options) => iterateHeun(denoiser, xT, sigmas, { ...options, sChurn: 100 }),
  needsNoise: 'sChurn 100',
  drawsNoise: (index) => index > 0, // the last step, too
  callsOf: callsOf(100),
});
describeOrder('Heun', sampleHeun, 2, [0.084, 0.045, 0.023, 0.011]);

describe('sampleHeun', () => {
  it('is exact for a noise that is linear in sigma', async () => {
    const denoiser: Denoiser<tf.Tensor2D> = (x, sigma) => tf.sub(x, sigma * (0.5 + 0.25 * sigma));
    const xT = tf.fill([1, 1], 2) as tf.Tensor2D;
    const exact = (sigma: number) => 2 + 0.5 * (sigma - 4) + 0.125 * (sigma ** 2 - 16);
    for await (const { sigmaNext, x } of iterateHeun(denoiser, xT, [4, 2.5, 1, 0.5], { keepNoise: true })) {
      expect(x.dataSync()[0]).toBeCloseTo(exact(sigmaNext), 5);
    }
    xT.dispose();
  });

  it('begins as PLMS does: with the improved Euler method', async () => {
    const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));
    const xT = tf.tensor2d([[3, -2]]);
    const first = async (steps: AsyncIterable<{ x: tf.Tensor2D }>) => {
      for await (const { x } of steps) return Array.from(x.dataSync());
      return [];
    };
    const heun = await first(iterateHeun(soft, xT, [4, 2, 1, 0]));
    expect(heun).toBeAllClose(await first(iteratePlms(soft, xT, [4, 2, 1, 0])), { rtol: 1e-6 });
    xT.dispose();
  });
});

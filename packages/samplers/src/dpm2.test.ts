import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { iterateDpm2, sampleDpm2, type Denoiser } from './index';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

/** Levels of the network calls of a step: at its start, churned or not, and at the second place unless the step goes to 0. */
const callsOf = (sChurn: number) => (index: number, sigmas: ArrayLike<number>) => {
  const gamma = Math.min(sChurn / (sigmas.length - 1), Math.SQRT2 - 1);
  const hat = Math.min(sigmas[index]! * (1 + gamma), sigmas[0]!);
  return sigmas[index + 1]! > 0 ? [hat, Math.sqrt(hat * sigmas[index + 1]!)] : [hat];
};

describeSampler('DPM2', { name: 'sampleDpm2', sample: sampleDpm2, iterate: iterateDpm2, callsOf: callsOf(0) });
// So much churn that gamma is at its largest whatever the number of steps, up to 241.
describeSampler('DPM2 with churn', {
  name: 'sampleDpm2',
  sample: (denoiser, xT, sigmas, options) => sampleDpm2(denoiser, xT, sigmas, { ...options, sChurn: 100 }),
  iterate: (denoiser, xT, sigmas, options) => iterateDpm2(denoiser, xT, sigmas, { ...options, sChurn: 100 }),
  needsNoise: 'sChurn 100',
  drawsNoise: (index) => index > 0, // the last step, too
  callsOf: callsOf(100),
});
describeOrder('DPM2', sampleDpm2, 2, [0.093, 0.047, 0.023, 0.011]);

describe('sampleDpm2', () => {
  it('steps with the noise that it sees at the middle of log sigma', async () => {
    const denoiser: Denoiser<tf.Tensor2D> = (x, sigma) => tf.sub(x, sigma * Math.log(sigma));
    const xT = tf.fill([1, 1], 2) as tf.Tensor2D;
    const want = [2 + (2 - 8) * Math.log(4)];
    want.push(want[0]! + (0.5 - 2) * Math.log(1));
    for await (const { index, x } of iterateDpm2(denoiser, xT, [8, 2, 0.5], { keepNoise: true })) {
      expect(x.dataSync()[0]).toBeCloseTo(want[index]!, 5);
    }
    xT.dispose();
  });
});

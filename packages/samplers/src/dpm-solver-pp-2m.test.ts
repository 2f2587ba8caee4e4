import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  createSchedule,
  initialNoise,
  iterateDpmSolverPp2m,
  perItemNoise,
  sampleDdim,
  sampleDpmSolverPp2m,
  samplingSigmas,
  type Denoiser,
} from './index';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

describeSampler('DPM-Solver++ 2M', {
  remembers: 1,
  name: 'sampleDpmSolverPp2m',
  sample: sampleDpmSolverPp2m,
  iterate: iterateDpmSolverPp2m,
});
describeOrder('DPM-Solver++ 2M', sampleDpmSolverPp2m, 2, [0.103, 0.048, 0.022, 0.01]);

describe('sampleDpmSolverPp2m', () => {
  const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));

  it('with order 1 is DDIM with eta 0', async () => {
    const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
    for (const steps of [1, 2, 20]) {
      const sigmas = samplingSigmas(schedule, steps);
      const xT = initialNoise<tf.Rank.R2>(perItemNoise([1, 2]), [2, 3], sigmas);
      const first = await sampleDpmSolverPp2m(soft, xT, sigmas, { order: 1 });
      const ddim = await sampleDdim(soft, xT, sigmas);
      expect(first).toBeAllClose(ddim, { rtol: 1e-5, atol: 1e-6 }); // float32, at most 20 steps
      tf.dispose([xT, first, ddim]);
    }
  });

  it('with one step, and in the last of many, returns the prediction of the denoiser', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    const y = await sampleDpmSolverPp2m((x) => tf.mul(x, 0.5), xT, [3, 0]);
    expect(Array.from(y.dataSync())).toEqual([0.5, 0.5]);
    tf.dispose([xT, y]);
  });

  it('follows a prediction that is linear in log sigma better with order 2 than with order 1', async () => {
    // dx / d lambda = x0 - x with x0 = lambda, lambda = -log(sigma), has the solution x = lambda - 1 + C e^-lambda.
    const lambdaOf = (sigma: number) => -Math.log(sigma);
    const denoiser: Denoiser<tf.Tensor2D> = (x, sigma) => tf.fill(x.shape, lambdaOf(sigma));
    const sigmas = [...Array.from({ length: 11 }, (_, i) => Math.exp(-i / 10)), 0];
    const exact = lambdaOf(sigmas[10]!) - 1 + (3 + 1) * Math.exp(-lambdaOf(sigmas[10]!));
    const errors: number[] = [];
    for (const order of [1, 2] as const) {
      const xT = tf.fill([1, 1], 3) as tf.Tensor2D;
      for await (const { index, x } of iterateDpmSolverPp2m(denoiser, xT, sigmas, { order })) {
        if (index === 9) errors.push(Math.abs(x.dataSync()[0]! - exact));
      }
      xT.dispose();
    }
    expect(errors[0]).toBeGreaterThan(0.03);
    expect(errors[1]).toBeLessThan(0.003);
  });

  it('rejects an order other than 1 and 2', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    await expect(sampleDpmSolverPp2m(soft, xT, [1, 0], { order: 3 as 2 })).rejects.toThrow(
      'sampleDpmSolverPp2m: expected order to be 1 or 2, received 3.',
    );
    xT.dispose();
  });
});

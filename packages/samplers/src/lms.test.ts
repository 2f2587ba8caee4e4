import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { iterateLms, iteratePlms, sampleEuler, sampleLms, type Denoiser, type LmsOptions } from './index';
import { describeOrder, describeSlope } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';
import { smoothSigmas, withShortStart } from './testing/oracles';

type Tensor2D = tf.Tensor2D;
const ofOrder =
  (order: LmsOptions['order']) => (denoiser: Denoiser<Tensor2D>, xT: Tensor2D, sigmas: ArrayLike<number>) =>
    sampleLms(denoiser, xT, sigmas, { order });

describeSampler('LMS', { name: 'sampleLms', sample: sampleLms, iterate: iterateLms, remembers: 2, extrapolates: true });
describeOrder('LMS', sampleLms, 4, [0.023, 0.001, 0.001, 0], {
  steps: [40, 80, 160],
  sigmas: (steps) => withShortStart(smoothSigmas(10, steps, 4)),
});
describeSlope('LMS of order 3', ofOrder(3), 3);
describeSlope('LMS of order 2', ofOrder(2), 2);
describeSlope('LMS of order 1', ofOrder(1), 1);
describeSlope('LMS from a level where the first step, which is of first order, is what counts', sampleLms, 2, {
  sigmas: (steps) => smoothSigmas(2, steps),
});

describe('sampleLms', () => {
  const soft: Denoiser<Tensor2D> = (x, sigma) => tf.tanh(tf.div<Tensor2D>(x, 1 + sigma));

  it('integrates a noise that is a polynomial of sigma exactly, once it has seen enough, on uneven sigmas and to 0', async () => {
    const sigmas = [5, 4.2, 3, 2.6, 1.5, 0.9, 0.3, 0];
    const coefficients = [0.3, 0.2, -0.1, 0.05];
    for (const order of [1, 2, 3, 4] as const) {
      const polynomial = coefficients.slice(0, order);
      const eps = (s: number) => polynomial.reduce((sum, c, m) => sum + c * s ** m, 0);
      const integral = (s: number) => polynomial.reduce((sum, c, m) => sum + (c * s ** (m + 1)) / (m + 1), 0);
      const xT = tf.fill([1, 1], 2) as Tensor2D;
      let before = 2;
      for await (const { index, sigma, sigmaNext, x } of iterateLms((at, s) => tf.sub(at, s * eps(s)), xT, sigmas, {
        order,
      })) {
        const added = x.dataSync()[0]! - before;
        const error = Math.abs(added - (integral(sigmaNext) - integral(sigma)));
        if (index >= order - 1) expect(error).toBeLessThan(2e-6); // float32
        before = x.dataSync()[0]!;
      }
      xT.dispose();
    }
  });

  it('on evenly spaced sigmas takes the steps of PLMS, but for its start', async () => {
    const eps = (s: number) => Math.sin(s); // of sigma alone, so that another start is not another noise
    const sigmas = [4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5, 0];
    const added = async (steps: AsyncIterable<{ x: Tensor2D }>) => {
      const states: number[] = [];
      for await (const { x } of steps) states.push(x.dataSync()[0]!);
      return states.slice(1).map((state, i) => state - states[i]!);
    };
    const xT = tf.fill([1, 1], 2) as Tensor2D;
    const denoiser: Denoiser<Tensor2D> = (x, s) => tf.sub(x, s * eps(s));
    const lms = await added(iterateLms(denoiser, xT, sigmas));
    expect(lms).toBeAllClose(await added(iteratePlms(denoiser, xT, sigmas)), { rtol: 0, atol: 2e-6 });
    xT.dispose();
  });

  it('with order 1 is Euler', async () => {
    const xT = tf.tensor2d([[30, -21, 7]]);
    const sigmas = [20, 9, 4, 1, 0.2, 0];
    const [lms, euler] = [await sampleLms(soft, xT, sigmas, { order: 1 }), await sampleEuler(soft, xT, sigmas)];
    expect(lms).toBeAllClose(euler, { rtol: 1e-5, atol: 1e-6 }); // float32
    tf.dispose([xT, lms, euler]);
  });

  it('in a single step to 0 returns the prediction', async () => {
    const xT = tf.ones([1, 2]) as Tensor2D;
    const y = await sampleLms((x) => tf.mul(x, 0.3), xT, [3, 0]);
    expect(Array.from(y.dataSync())).toEqual([Math.fround(0.3), Math.fround(0.3)]);
    tf.dispose([xT, y]);
  });

  it('rejects an order other than 1 to 4', async () => {
    const xT = tf.ones([1, 2]) as Tensor2D;
    for (const order of [0, 5, 2.5, NaN]) {
      await expect(sampleLms(soft, xT, [1, 0], { order: order as 2 })).rejects.toThrow(
        `sampleLms: expected order to be 1, 2, 3 or 4, received ${order}.`,
      );
    }
    xT.dispose();
  });
});

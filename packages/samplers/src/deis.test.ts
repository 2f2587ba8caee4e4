import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { iterateDeis, sampleDdim, sampleDeis, type DeisOptions, type Denoiser } from './index';
import { describeOrder, describeSlope } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';
import { smoothSigmas, withShortStart } from './testing/oracles';

type Tensor2D = tf.Tensor2D;
const ofOrder =
  (order: DeisOptions['order']) => (denoiser: Denoiser<Tensor2D>, xT: Tensor2D, sigmas: ArrayLike<number>) =>
    sampleDeis(denoiser, xT, sigmas, { order });

describeSampler('DEIS', { name: 'sampleDeis', sample: sampleDeis, iterate: iterateDeis, remembers: 2 });
describeOrder('DEIS', sampleDeis, 3, [0.101, 0.049, 0.024, 0.012], {
  steps: [40, 80, 160],
  sigmas: (steps) => withShortStart(smoothSigmas(4, steps, 3)),
});
describeSlope('DEIS of order 2', ofOrder(2), 2);
describeSlope('DEIS of order 1', ofOrder(1), 1);
describeSlope('DEIS from a level where the first step, which is of first order, is what counts', sampleDeis, 2, {
  sigmas: (steps) => smoothSigmas(2, steps, 3),
});

describe('sampleDeis', () => {
  const soft: Denoiser<Tensor2D> = (x, sigma) => tf.tanh(tf.div<Tensor2D>(x, 1 + sigma));

  it('integrates a noise that is a polynomial of log sigma exactly, once it has seen enough', async () => {
    const sigmas = [5, 4.2, 3, 2.6, 0.7, 0.69, 0.3];
    for (const order of [1, 2, 3] as const) {
      const [a, b, c] = [0.3, order > 1 ? 0.2 : 0, order > 2 ? -0.4 : 0];
      const eps = (l: number) => a + b * l + c * l * l;
      const integral = (s: number, l = Math.log(s)) => s * (a + b * (l - 1) + c * (l * l - 2 * l + 2));
      const xT = tf.fill([1, 1], 2) as Tensor2D;
      const denoiser: Denoiser<Tensor2D> = (x, s) => tf.sub(x, s * eps(Math.log(s)));
      let before = 2;
      for await (const { index, sigma, sigmaNext, x } of iterateDeis(denoiser, xT, sigmas, {
        order,
        keepNoise: true,
      })) {
        const error = Math.abs(x.dataSync()[0]! - before - (integral(sigmaNext) - integral(sigma)));
        if (index >= order - 1) expect(error).toBeLessThan(2e-6); // float32
        before = x.dataSync()[0]!;
      }
      xT.dispose();
    }
  });

  it('with order 1 is DDIM with eta 0', async () => {
    const xT = tf.tensor2d([[30, -21, 7]]);
    const sigmas = [20, 9, 4, 1, 0.2, 0];
    const [deis, ddim] = [await sampleDeis(soft, xT, sigmas, { order: 1 }), await sampleDdim(soft, xT, sigmas)];
    expect(deis).toBeAllClose(ddim, { rtol: 1e-5, atol: 1e-6 }); // float32
    tf.dispose([xT, deis, ddim]);
  });

  it('rejects an order other than 1 to 3', async () => {
    const xT = tf.ones([1, 2]) as Tensor2D;
    for (const order of [0, 4, 2.5, NaN]) {
      await expect(sampleDeis(soft, xT, [1, 0], { order: order as 2 })).rejects.toThrow(
        `sampleDeis: expected order to be 1, 2 or 3, received ${order}.`,
      );
    }
    xT.dispose();
  });
});

import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  iterateDpmSolverPp3mSde,
  perItemNoise,
  sampleDpmSolverPp2mSde,
  sampleDpmSolverPp3mSde,
  type Denoiser,
} from './index';
import { describeMoments, lawOf, NORMAL, normalDenoiser } from './testing/describe-law';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';
import { smoothSigmas, withShortStart } from './testing/oracles';

describeSampler('DPM-Solver++ 3M SDE', {
  remembers: 2,
  name: 'sampleDpmSolverPp3mSde',
  sample: sampleDpmSolverPp3mSde,
  iterate: iterateDpmSolverPp3mSde,
  needsNoise: 'eta 1',
});
describeOrder(
  'DPM-Solver++ 3M SDE, eta 0',
  (denoiser, xT, sigmas) => sampleDpmSolverPp3mSde(denoiser, xT, sigmas, { eta: 0 }),
  3,
  [0.095, 0.048, 0.025, 0.012],
  { steps: [40, 80, 160], sigmas: (steps) => withShortStart(smoothSigmas(4, steps, 4)) },
);
describeMoments('DPM-Solver++ 3M SDE', sampleDpmSolverPp3mSde, 100);

describe('sampleDpmSolverPp3mSde', () => {
  const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));
  const noise = perItemNoise([1, 2]);

  it("in its first two steps is 2M SDE, 'heun'", async () => {
    const sigmas = [9, 5, 2];
    const xT = tf.mul<tf.Tensor2D>(noise([2, 3], -1), 9);
    const three = await sampleDpmSolverPp3mSde(soft, xT, sigmas, { noise, keepNoise: true });
    const two = await sampleDpmSolverPp2mSde(soft, xT, sigmas, { noise, keepNoise: true, solverType: 'heun' });
    expect(three).toBeAllClose(two, { rtol: 1e-5, atol: 1e-6 }); // float32
    tf.dispose([xT, three, two]);
  });

  it('is exact for a prediction that is a parabola in lambda, once it has seen three, at any eta', async () => {
    // Of dx = (1 + eta) (x0 - x) d lambda with x0 = lambda^2: x = lambda^2 - 2 lambda / k + 2 / k^2 + C e^(-k lambda), k = 1 + eta.
    const sigmas = [4, 2.5, 1.7, 0.9, 0.5, 0.2, 0];
    const denoiser: Denoiser<tf.Tensor2D> = (x, sigma) => tf.fill(x.shape, Math.log(sigma) ** 2);
    for (const eta of [0, 0.5, 1]) {
      const k = 1 + eta;
      const particular = (lambda: number) => lambda ** 2 - (2 * lambda) / k + 2 / k ** 2;
      const xT = tf.fill([1, 1], 3) as tf.Tensor2D;
      const states: number[] = [];
      const silent = (shape: readonly number[]) => tf.zeros([...shape]);
      for await (const { x } of iterateDpmSolverPp3mSde(denoiser, xT, sigmas, { eta, noise: silent })) {
        states.push(x.dataSync()[0]!);
      }
      xT.dispose();
      for (let i = 2; i < 5; i++) {
        const [from, to] = [-Math.log(sigmas[i]!), -Math.log(sigmas[i + 1]!)];
        const exact = particular(to) + (states[i - 1]! - particular(from)) * Math.exp(-k * (to - from));
        expect(states[i]).toBeCloseTo(exact, 5);
      }
    }
  });

  // Second order shows from 1000 steps on, where the error is below the rounding of float32.
  it('with eta 1 has a law that nears a Gaussian faster than that of 2M SDE', async () => {
    const centred = { ...NORMAL, mean: 0 };
    for (const steps of [40, 80, 160, 320]) {
      const sigmas = smoothSigmas(10, steps);
      const start = { mean: 0, variance: centred.variance + 100 };
      const [two, three] = await Promise.all(
        [sampleDpmSolverPp2mSde<tf.Tensor2D>, sampleDpmSolverPp3mSde<tf.Tensor2D>].map(async (sample) => {
          const { variance } = await lawOf(sample, normalDenoiser(centred), start, sigmas);
          return Math.abs(variance - centred.variance);
        }),
      );
      expect(three!).toBeLessThan(two! / 3);
    }
  });
});

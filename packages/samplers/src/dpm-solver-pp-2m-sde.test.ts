import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  iterateDpmSolverPp2mSde,
  perItemNoise,
  sampleDdim,
  sampleDpmSolverPp2m,
  sampleDpmSolverPp2mSde,
  type Denoiser,
  type DpmSolverType,
} from './index';
import { describeLaw } from './testing/describe-law';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

describeSampler('DPM-Solver++ 2M SDE', {
  remembers: 1,
  name: 'sampleDpmSolverPp2mSde',
  sample: sampleDpmSolverPp2mSde,
  iterate: iterateDpmSolverPp2mSde,
  needsNoise: 'eta 1',
});
describeSampler("DPM-Solver++ 2M SDE, 'heun', eta 0", {
  remembers: 1,
  name: 'sampleDpmSolverPp2mSde',
  sample: (denoiser, xT, sigmas, options) =>
    sampleDpmSolverPp2mSde(denoiser, xT, sigmas, { ...options, solverType: 'heun', eta: 0 }),
  iterate: (denoiser, xT, sigmas, options) =>
    iterateDpmSolverPp2mSde(denoiser, xT, sigmas, { ...options, solverType: 'heun', eta: 0 }),
});
describeOrder(
  "DPM-Solver++ 2M SDE, 'heun', eta 0",
  (denoiser, xT, sigmas) => sampleDpmSolverPp2mSde(denoiser, xT, sigmas, { solverType: 'heun', eta: 0 }),
  2,
  [0.1, 0.046, 0.022, 0.01],
);
for (const solverType of ['midpoint', 'heun'] as const) {
  describeLaw(
    `DPM-Solver++ 2M SDE, '${solverType}'`,
    (denoiser, xT, sigmas, options) => sampleDpmSolverPp2mSde(denoiser, xT, sigmas, { ...options, solverType }),
    2,
    [160, 320, 640],
    150,
  );
}

describe('sampleDpmSolverPp2mSde', () => {
  const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));
  const noise = perItemNoise([1, 2]);

  it("with eta 0 and 'midpoint' is DPM-Solver++ 2M", async () => {
    const sigmas = [9, 5, 2, 0.7, 0.2, 0];
    const xT = tf.mul<tf.Tensor2D>(noise([2, 3], -1), 9);
    const sde = await sampleDpmSolverPp2mSde(soft, xT, sigmas, { eta: 0 });
    const ode = await sampleDpmSolverPp2m(soft, xT, sigmas);
    expect(sde).toBeAllClose(ode, { rtol: 1e-5, atol: 1e-6 }); // float32
    tf.dispose([xT, sde, ode]);
  });

  it('in its first step is DDIM with eta 1, and so is DDPM', async () => {
    const xT = tf.mul<tf.Tensor2D>(noise([2, 3], -1), 9);
    const sde = await sampleDpmSolverPp2mSde(soft, xT, [9, 5], { noise, keepNoise: true });
    const ddim = await sampleDdim(soft, xT, [9, 5], { noise, eta: 1, keepNoise: true });
    expect(sde).toBeAllClose(ddim, { rtol: 1e-5, atol: 1e-6 }); // float32
    tf.dispose([xT, sde, ddim]);
  });

  it('takes an eta above 1, and rejects one below 0 and an unknown solverType', async () => {
    const xT = tf.ones([2, 1]) as tf.Tensor2D;
    const y = await sampleDpmSolverPp2mSde(soft, xT, [2, 1, 0], { noise, eta: 1.5 });
    expect(Array.from(y.dataSync()).every(Number.isFinite)).toBe(true);
    for (const eta of [-1, NaN, Infinity]) {
      await expect(sampleDpmSolverPp2mSde(soft, xT, [1, 0], { noise, eta })).rejects.toThrow(
        `sampleDpmSolverPp2mSde: expected eta to be a number from 0, received ${eta}.`,
      );
    }
    const solverType = 'euler' as DpmSolverType;
    await expect(sampleDpmSolverPp2mSde(soft, xT, [1, 0], { noise, solverType })).rejects.toThrow(
      "sampleDpmSolverPp2mSde: expected solverType to be one of 'midpoint', 'heun', received 'euler'.",
    );
    tf.dispose([xT, y]);
  });
});

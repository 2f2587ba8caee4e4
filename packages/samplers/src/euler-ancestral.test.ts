import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { iterateEulerAncestral, perItemNoise, sampleDdim, sampleEulerAncestral, type Denoiser } from './index';
import { describeLaw } from './testing/describe-law';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

describeSampler('Euler ancestral', {
  name: 'sampleEulerAncestral',
  sample: sampleEulerAncestral,
  iterate: iterateEulerAncestral,
  needsNoise: 'eta 1',
});
describeOrder(
  'Euler ancestral, eta 0',
  (denoiser, xT, sigmas) => sampleEulerAncestral(denoiser, xT, sigmas, { eta: 0 }),
  1,
  [0.14, 0.08, 0.045, 0.025],
);
describeLaw('Euler ancestral', sampleEulerAncestral, 1, [160, 320, 640], 250);

describe('sampleEulerAncestral', () => {
  const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));
  const noise = perItemNoise([1, 2]);
  const sigmas = [9, 5, 2, 0.7, 0];

  it('is DDIM of the same eta', async () => {
    const xT = tf.mul<tf.Tensor2D>(noise([2, 3], -1), 9);
    for (const eta of [0, 0.4, 1]) {
      const euler = await sampleEulerAncestral(soft, xT, sigmas, { noise, eta });
      const ddim = await sampleDdim(soft, xT, sigmas, { noise, eta });
      expect(Array.from(euler.dataSync())).toEqual(Array.from(ddim.dataSync()));
      tf.dispose([euler, ddim]);
    }
    xT.dispose();
  });

  it('adds sNoise times as much noise, and with sNoise 0 needs none', async () => {
    const xT = tf.zeros([1, 1]) as tf.Tensor2D;
    const one = (shape: readonly number[]) => tf.ones([...shape]);
    const added: number[] = [];
    for (const options of [{ noise: one }, { noise: one, sNoise: 1.5 }, { sNoise: 0 }]) {
      for await (const { index, x } of iterateEulerAncestral((x) => tf.zerosLike(x), xT, [2, 1, 0], options)) {
        if (index === 0) added.push(x.dataSync()[0]!);
      }
    }
    xT.dispose();
    expect(added).toBeAllClose([Math.sqrt(3 / 4), 1.5 * Math.sqrt(3 / 4), 0], { rtol: 1e-6 });
  });

  it('rejects an eta outside 0 to 1 and an sNoise below 0', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    for (const eta of [-0.1, 1.5, NaN]) {
      await expect(sampleEulerAncestral(soft, xT, [1, 0], { eta })).rejects.toThrow(
        `sampleEulerAncestral: expected eta to be a number from 0 to 1, received ${eta}.`,
      );
    }
    for (const sNoise of [-1, NaN, Infinity]) {
      await expect(sampleEulerAncestral(soft, xT, [1, 0], { sNoise })).rejects.toThrow(
        `sampleEulerAncestral: expected sNoise to be a number from 0, received ${sNoise}.`,
      );
    }
    xT.dispose();
  });
});

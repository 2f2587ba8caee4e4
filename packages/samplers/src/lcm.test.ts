import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { initialNoise, iterateLcm, perItemNoise, sampleDdim, sampleLcm, type Denoiser } from './index';
import { expectWithinErrors, lawOf, momentsOf, NORMAL } from './testing/describe-law';
import { describeSampler } from './testing/describe-sampler';
import { GAUSSIAN, gaussianEndPoints } from './testing/oracles';

describeSampler('LCM', { name: 'sampleLcm', sample: sampleLcm, iterate: iterateLcm, needsNoise: 'LCM' });

describe('sampleLcm', () => {
  it('with the consistency function of a Gaussian has its law, after one step as after many', async () => {
    const { mean, variance } = NORMAL;
    const endPoint: Denoiser<tf.Tensor2D> = (x, sigma) =>
      tf.add(mean, tf.mul<tf.Tensor2D>(tf.sub(x, mean), Math.sqrt(variance / (variance + sigma * sigma))));
    for (const sigmas of [
      [10, 0],
      [10, 1, 0],
      [10, 5, 3, 2, 1, 0.5, 0.2, 0],
    ]) {
      const law = await lawOf(sampleLcm, endPoint, { mean, variance: variance + 100 }, sigmas);
      expect([law.mean, law.variance]).toBeAllClose([mean, variance], { rtol: 1e-5 }); // float32
    }
  });

  it('so has mean and covariance within 5 standard errors of 4000 samples in 4 steps', async () => {
    const N = 4000;
    const noise = perItemNoise(Array.from({ length: N }, (_, item) => 1000 + item));
    const sigmas = [40, 8, 2, 0.5, 0]; // 40: the start is noise alone, which is then nearly the data's marginal
    const xT = initialNoise<tf.Rank.R2>(noise, [N, 2], sigmas);
    const endPoint: Denoiser<tf.Tensor2D> = (x, sigma) =>
      tf.tensor2d(Float32Array.from(gaussianEndPoints(GAUSSIAN, x.dataSync(), sigma)), x.shape);
    const y = await sampleLcm(endPoint, xT, sigmas, { noise });
    const found = momentsOf(y.dataSync());
    tf.dispose([xT, y]);
    expectWithinErrors(found, GAUSSIAN, N);
  });

  it('forgets where it was: each state is the prediction and fresh noise of the next level', async () => {
    const noise = perItemNoise([5]);
    const xT = tf.fill([1, 2], 7) as tf.Tensor2D;
    for await (const { index, sigmaNext, x0, x } of iterateLcm((x) => tf.mul(x, 0.1), xT, [9, 4, 1, 0], { noise })) {
      const want = tf.tidy(() => tf.add(x0, tf.mul(noise([1, 2], index), sigmaNext)));
      expect(x).toBeAllClose(want, { rtol: 1e-6, atol: 1e-6 });
      want.dispose();
    }
    xT.dispose();
  });

  it('in one step is DDIM: the prediction', async () => {
    const noise = perItemNoise([5]);
    const xT = tf.fill([1, 2], 7) as tf.Tensor2D;
    const half: Denoiser<tf.Tensor2D> = (x) => tf.mul(x, 0.5);
    const lcm = await sampleLcm(half, xT, [9, 0], { noise });
    const ddim = await sampleDdim(half, xT, [9, 0]);
    expect(Array.from(lcm.dataSync())).toEqual(Array.from(ddim.dataSync()));
    tf.dispose([xT, lcm, ddim]);
  });
});

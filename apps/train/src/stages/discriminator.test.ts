import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { initPatchDiscriminator, initRunningStatistics } from '@sgdiff/latent-autoencoder/train';
import { createRng, flattenParams } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { tinyRunConfig } from '../testing/tiny-run';
import { createDiscriminator, type Discriminator } from './discriminator';

const sizes = { imageChannels: 3, channels: 4, layers: 1 };
const config = {
  ...tinyRunConfig().autoencoder,
  adversarial: { weight: 0.6, startStep: 0, layers: 1, channels: 4, learningRate: 1e-2, beta1: 0.5, beta2: 0.9 },
};

beforeAll(() => setupBackend('cpu'));

/** What a step could have found out: gradients of 1, and statistics of 2. */
function judged(gradient = 1): Parameters<Discriminator['remember']>[0] {
  return tf.tidy(() => {
    const fresh = initPatchDiscriminator(sizes, createRng(0));
    return {
      loss: tf.scalar(1),
      grads: Object.fromEntries(flattenParams(fresh).map(({ path, tensor }) => [path, tf.fill(tensor.shape, gradient)])),
      running: initRunningStatistics(sizes).map(({ mean }) => ({ mean: tf.onesLike(mean), variance: tf.fill<tf.Rank.R1>(mean.shape, 2) })),
    };
  });
}

describe('createDiscriminator', () => {
  it('learns what it is told to remember, once, and leaves nothing behind', () =>
    expectNoLeak(async () => {
      const discriminator = createDiscriminator(config);
      const weight = (): number => discriminator.term(0)!.params.convOut.bias!.dataSync()[0];
      const before = weight();
      discriminator.remember(judged());
      discriminator.remember(judged());
      await discriminator.learn(0);
      expect(weight()).toBeCloseTo(before - 1e-2, 5); // AdamW's first step is the rate
      expect(discriminator.term(0)!.running[0].variance.dataSync()[0]).toBe(2);
      await discriminator.learn(1);
      expect(weight()).toBeCloseTo(before - 1e-2, 5);
      discriminator.remember(judged());
      discriminator.dispose();
    }));

  it('goes on from a saved state', () =>
    expectNoLeak(async () => {
      const [one, two] = [createDiscriminator(config), createDiscriminator({ ...config, seed: 99 })];
      one.remember(judged());
      await one.learn(0);
      const state = one.state();
      two.loadState(state);
      for (const each of [one, two]) {
        each.remember(judged(-2));
        await each.learn(1);
      }
      const [first, second] = [one.state(), two.state()];
      expect(Object.keys(second)).toEqual(Object.keys(first));
      for (const [name, tensor] of Object.entries(first)) expect(second[name].dataSync(), name).toEqual(tensor.dataSync());
      tf.dispose([state, first, second]);
      one.dispose();
      two.dispose();
    }));

  it('refuses a gradient that is not finite, and leaves nothing behind', () =>
    expectNoLeak(async () => {
      const discriminator = createDiscriminator(config);
      try {
        discriminator.remember(judged(NaN));
        await discriminator.learn(6);
      } finally {
        discriminator.dispose();
      }
    }, { throws: /^autoencoder: at step 7 the gradient of "discriminator\.convIn\.weight" is not finite\. .*: lower adversarial\.learningRate or optimiser\.clipNorm with --config, and continue with --resume\.$/ }));
});

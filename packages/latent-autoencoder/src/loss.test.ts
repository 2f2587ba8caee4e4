import * as tf from '@tensorflow/tfjs-core';
import { createAdamW, createRng, disposeParams, flattenParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { encode, initAutoencoder } from './autoencoder';
import { codebookFromLatents } from './codebook';
import type { AutoencoderConfig } from './config';
import { autoencoderLoss } from './loss';
import { setCodebook } from './quantizer';

const config: AutoencoderConfig = {
  imageChannels: 3,
  stem: 2,
  baseChannels: 8,
  channelMults: [1, 2],
  numResBlocks: 1,
  decoderResBlocks: 1,
  attentionLevels: [1],
  zChannels: 4,
  embedDim: 4,
  codebookSize: 16,
  groups: 4,
};

beforeAll(() => setupBackend('cpu'));

/** Squares of flat colour in four places. */
function pictures(): tf.Tensor4D {
  const rng = createRng('pictures');
  const data = new Float32Array(4 * 8 * 8 * 3);
  for (let b = 0; b < 4; b++) {
    for (let y = 0; y < 8; y++) {
      for (let x = 0; x < 8; x++) {
        const inside = Math.floor(x / 4) + 2 * Math.floor(y / 4) === b;
        for (let c = 0; c < 3; c++) data[((b * 8 + y) * 8 + x) * 3 + c] = inside ? (c === b % 3 ? 0.9 : -0.6) : 0.2;
      }
    }
  }
  return tf.tensor4d(
    data.map((v) => v + 0.01 * rng.normal()),
    [4, 8, 8, 3],
  );
}

describe('autoencoderLoss', () => {
  it('is the sum of its weighted terms', () => {
    const params = initAutoencoder(config, createRng(1));
    const images = pictures();
    const weights = { l1: 0.5, l2: 2, edge: 3, codebook: 0.7 };
    const { loss, reconstruction, codebook, l1, images: decoded } = autoencoderLoss(params, config, images, weights);
    const x = images.arraySync();
    const y = decoded.arraySync();
    let [absolute, squared, across, down] = [0, 0, 0, 0];
    for (let b = 0; b < 4; b++)
      for (let i = 0; i < 8; i++)
        for (let j = 0; j < 8; j++)
          for (let c = 0; c < 3; c++) {
            const error = (r: number, s: number): number => y[b]![r]![s]![c]! - x[b]![r]![s]![c]!;
            absolute += Math.abs(error(i, j)) / 768;
            squared += error(i, j) ** 2 / 768;
            if (j < 7) across += Math.abs(error(i, j + 1) - error(i, j)) / 672;
            if (i < 7) down += Math.abs(error(i + 1, j) - error(i, j)) / 672;
          }
    const expected = 0.5 * absolute + 2 * squared + 3 * (across + down);
    expect(l1).toBeAllClose([absolute], { rtol: 1e-5, atol: 0 });
    expect(reconstruction).toBeAllClose([expected], { rtol: 1e-5, atol: 0 });
    expect(loss).toBeAllClose([expected + 0.7 * codebook.dataSync()[0]!], { rtol: 1e-5, atol: 0 });
    disposeParams(params);
  });

  it('gives every weight a gradient that is not zero', () => {
    const params = initAutoencoder(config, createRng(2));
    const variables = toVariables(params);
    const images = pictures();
    const { grads } = valueAndGrads(() => autoencoderLoss(variables, config, images, { edge: 1 }).loss, variables);
    const silent = flattenParams(variables).filter(({ path }) => !(tf.max(tf.abs(grads[path]!)).dataSync()[0]! > 0));
    // A bias on every key shifts all scores of a query alike, which the softmax ignores: zero up to rounding.
    expect(silent.map(({ path }) => path).filter((path) => !path.endsWith('.k.bias'))).toEqual([]);
    tf.dispose(grads);
    disposeParams(variables);
    disposeParams(params);
  });

  it('leaves nothing behind', async () => {
    const params = initAutoencoder(config, createRng(1));
    const images = pictures();
    await expectNoLeak(() => autoencoderLoss(params, config, images, { l2: 1, edge: 1 }));
    tf.dispose(images);
    disposeParams(params);
  });

  it('overfits one batch', () => {
    const small: AutoencoderConfig = { ...config, stem: 4, channelMults: [2], attentionLevels: [], middle: 'none' };
    const init = initAutoencoder(small, createRng(5));
    const params = toVariables(init);
    const images = pictures();
    const latents = tf.tidy(() => encode(params, small, images).dataSync() as Float32Array);
    const codes = codebookFromLatents(latents, small.codebookSize, small.embedDim, createRng('codes'));
    setCodebook(params, codes);
    const optimiser = createAdamW(params, { learningRate: 1e-2, weightDecay: 0 });
    const l1 = (): number => tf.tidy(() => autoencoderLoss(params, small, images).l1.dataSync()[0]!);
    const before = l1();
    for (let step = 0; step < 60; step++) {
      const { value, grads } = valueAndGrads(() => autoencoderLoss(params, small, images, { l2: 1 }).loss, params);
      optimiser.step(grads);
      tf.dispose([value, ...Object.values(grads)]);
    }
    expect(l1()).toBeLessThan(0.15 * before);
    optimiser.dispose();
    disposeParams(params);
    disposeParams(init);
  });
});

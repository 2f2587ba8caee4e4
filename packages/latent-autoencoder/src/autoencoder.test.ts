import * as tf from '@tensorflow/tfjs-core';
import { createRng, disposeParams, flattenParams } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode, encode, initAutoencoder, type AutoencoderParams } from './autoencoder';
import type { AutoencoderConfig } from './config';
import { latentScale } from './latent-statistics';

const config: AutoencoderConfig = {
  imageChannels: 3,
  stem: 2,
  baseChannels: 4,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionLevels: [1],
  zChannels: 3,
  embedDim: 2,
  codebookSize: 5,
  groups: 2,
};
let params: AutoencoderParams;

const noise = (shape: [number, number, number, number], key: string): tf.Tensor4D =>
  tf.tensor4d(
    createRng(key)
      .fillUniform(new Float32Array(shape.reduce((a, b) => a * b, 1)))
      .map((u) => 2 * u - 1),
    shape,
  );

beforeAll(async () => {
  await setupBackend('cpu');
  params = initAutoencoder(config, createRng(3));
});
afterAll(() => disposeParams(params));

describe('encode and decode', () => {
  it('keep the images of a batch apart', () => {
    const images = noise([3, 8, 8, 3], 'batch');
    const latents = encode(params, config, images);
    const second = encode(params, config, tf.slice(images, [1, 0, 0, 0], [1, 8, 8, 3]));
    expect(tf.slice(latents, [1, 0, 0, 0], [1, 2, 2, 2])).toBeAllClose(second, { rtol: 1e-5, atol: 1e-6 });
  });

  it('work on any sides that are multiples of the factor', () => {
    const images = noise([1, 8, 12, 3], 'oblong');
    const latents = encode(params, config, images);
    expect(latents.shape).toEqual([1, 2, 3, 2]);
    expect(decode(params, config, latents).shape).toEqual(images.shape);
  });

  it('decode does not see what quantisation removes', () => {
    const codes = params.quantize.embedding.weight;
    const exact = tf.reshape(tf.gather(codes, tf.tensor1d([0, 3, 1, 4], 'int32')), [1, 2, 2, 2]) as tf.Tensor4D;
    const moved = tf.add(exact, 1e-5) as tf.Tensor4D;
    expect(decode(params, config, moved)).toBeAllClose(decode(params, config, exact), { rtol: 0, atol: 0 });
  });

  it('leave nothing behind, also when they throw', async () => {
    const images = noise([1, 8, 8, 3], 'leak');
    const wrong = noise([1, 6, 8, 3], 'leak');
    await expectNoLeak(() => encode(params, config, images));
    await expectNoLeak(() => encode(params, config, wrong), { throws: 'encode: expected images of shape' });
    const latents = noise([1, 2, 2, 2], 'leak');
    await expectNoLeak(() => decode(params, config, latents));
    tf.dispose([images, wrong, latents]);
  });

  it('say what shape of latents they need', () => {
    expect(() => decode(params, config, tf.zeros([1, 2, 2, 4]))).toThrow(
      'decode: expected latents of shape [B, h, w, 2], received [1, 2, 2, 4].',
    );
  });

  it('say what shape of images they need', () => {
    const images = tf.zeros([1, 6, 8, 3]) as tf.Tensor4D;
    expect(() => encode(params, config, images)).toThrow(
      'encode: expected images of shape [B, H, W, 3] with sides that are multiples of 4, received [1, 6, 8, 3]. ' +
        'Resize or pad the images.',
    );
  });
});

describe('initAutoencoder', () => {
  it('gives the same weights for the same key and other weights for another', () => {
    const values = (key: number): number[] => {
      const made = initAutoencoder(config, createRng(key));
      const out = flattenParams(made).flatMap(({ tensor }) => Array.from(tensor.dataSync()));
      disposeParams(made);
      return out;
    };
    expect(values(1)).toEqual(values(1));
    expect(values(1)).not.toEqual(values(2));
  });

  it.each<[Partial<AutoencoderConfig>, string]>([
    [
      { groups: 3 },
      "AutoencoderConfig: expected every level's width to be a multiple of groups (3), received 4. Change baseChannels, channelMults or groups.",
    ],
    [{ attentionLevels: [2] }, 'AutoencoderConfig: expected attentionLevels between 0 and 1, received 2.'],
    [{ codebookSize: 0 }, 'AutoencoderConfig: expected codebookSize to be a whole number above 0, received 0.'],
    [{ codeGroups: 3 }, 'AutoencoderConfig: expected codeGroups to divide embedDim (2), received 3.'],
    [{ channelMults: [] }, 'AutoencoderConfig: expected channelMults.length to be a whole number above 0, received 0.'],
  ])('refuses %j', (change, message) => {
    expect(() => initAutoencoder({ ...config, ...change }, createRng(0))).toThrow(message);
  });
});

describe('latentScale', () => {
  it('gives latents unit deviation, over several batches', () => {
    const rng = createRng('scale');
    const batches = [0, 1, 2].map((i) =>
      rng
        .fork(i)
        .fillNormal(new Float32Array(4000))
        .map((x, j) => 3 * x + (j % 2)),
    );
    const { mean, std, scaleFactor, channelMeans, channelStds } = latentScale(batches, 2);
    const all = batches.flatMap((batch) => Array.from(batch));
    const m = all.reduce((a, b) => a + b, 0) / all.length;
    const s = Math.sqrt(all.reduce((a, b) => a + (b - m) ** 2, 0) / all.length);
    expect([mean, std]).toBeAllClose([m, s], { rtol: 1e-9, atol: 0 });
    expect(std * scaleFactor).toBeCloseTo(1, 12);
    expect(channelMeans).toBeAllClose([0, 1], { rtol: 0, atol: 0.15 }); // 3 / sqrt(6000) = 0.04
    expect(channelStds).toBeAllClose([3, 3], { rtol: 0.05, atol: 0 });
  });

  it('refuses latents without a scale', () => {
    expect(() => latentScale([], 2)).toThrow('latentScale: expected at least one latent vector, received none.');
    expect(() => latentScale([new Float32Array(3)], 2)).toThrow(
      'latentScale: expected batches made of vectors of 2 values, received one of 3 values.',
    );
    expect(() => latentScale([new Float32Array(4)], 2)).toThrow(
      'latentScale: expected latents that vary, received a standard deviation of 0. Was the autoencoder trained?',
    );
  });
});

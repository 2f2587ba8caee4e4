import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, paramsFromSafetensors, restoreParams, createRng, toVariables, valueAndGrads } from '@sgdiff/nn';
import { readGolden, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attentionBlock } from './attention-block';
import { decode, decodeIndices, encode, initAutoencoder, type AutoencoderParams } from './autoencoder';
import type { AutoencoderConfig } from './config';
import { autoencoderLoss } from './loss';
import { quantize } from './quantizer';
import { downsample, upsample } from './resample';
import { resBlock } from './res-block';

type Plain = { readonly shape: [number, number, number, number]; readonly data: number[] };
type Golden = {
  readonly images: Plain;
  readonly latents: Plain;
  readonly quantized: Plain;
  readonly indices: number[];
  readonly decoded: Plain;
  readonly loss: number;
  readonly codebookLoss: number;
  readonly gradients: Record<'paper' | 'legacy', Record<string, Plain>>;
  readonly modules: Record<'resBlock' | 'attentionBlock' | 'downsample' | 'upsample', { input: Plain; output: Plain }>;
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/tiny.golden.json');
const config: AutoencoderConfig = {
  imageChannels: 3,
  stem: 1,
  baseChannels: 8,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionLevels: [1],
  zChannels: 4,
  embedDim: 3,
  codebookSize: 11,
  groups: 4,
};
// float32 sums of some hundred terms in another order.
const close = { rtol: 1e-4, atol: 2e-5 };
const tensor = ({ shape, data }: Plain): tf.Tensor4D => tf.tensor(data, shape);

let params: AutoencoderParams;

describe.each(['cpu', 'wasm'] as const)('on %s', (backend) => {
  beforeAll(async () => {
    await setupBackend(backend);
    const loaded = paramsFromSafetensors(readFileSync(new URL('../fixtures/tiny.safetensors', import.meta.url)));
    const template = initAutoencoder(config, createRng(0));
    params = restoreParams(template, loaded);
    tf.dispose(loaded);
    disposeParams(template);
  });

  afterAll(() => disposeParams(params));

  describe('the model of diffusers with the same weights', () => {
    it('gives the same latents', () => {
      expect(encode(params, config, tensor(golden.images))).toBeAllClose(golden.latents.data, close);
    });

    it('chooses the same codes', () => {
      const { zQ, indices } = quantize(params, tensor(golden.latents));
      expect(Array.from(indices.dataSync())).toEqual(golden.indices);
      expect(zQ).toBeAllClose(golden.quantized.data, close);
    });

    it('decodes to the same images, from latents and from indices', () => {
      const [B, h, w] = golden.latents.shape;
      expect(decode(params, config, tensor(golden.latents))).toBeAllClose(golden.decoded.data, close);
      const indices = tf.tensor3d(golden.indices, [B, h, w], 'int32');
      expect(decodeIndices(params, config, indices)).toBeAllClose(golden.decoded.data, close);
    });

    it('has the same loss', () => {
      const { loss, codebook } = autoencoderLoss(params, config, tensor(golden.images));
      expect(loss).toBeAllClose([golden.loss], close);
      expect(codebook).toBeAllClose([golden.codebookLoss], close);
    });

    it.each(['paper', 'legacy'] as const)('has the same gradients on both sides of the quantiser: %s form', (form) => {
      const variables = toVariables(params);
      const images = tensor(golden.images);
      const options = { legacy: form === 'legacy' };
      const { grads } = valueAndGrads(() => autoencoderLoss(variables, config, images, options).loss, variables);
      for (const [path, expected] of Object.entries(golden.gradients[form])) {
        expect(grads[path]!.shape).toEqual(expected.shape);
        expect(grads[path]).toBeAllClose(expected.data, close);
      }
      disposeParams(variables);
    });
  });

  describe('each block of diffusers with the same weights', () => {
    const { modules } = golden;

    it('residual block that widens', () => {
      const y = resBlock(params.encoder.down[1]!.block[0]!, tensor(modules.resBlock.input), config.groups);
      expect(y).toBeAllClose(modules.resBlock.output.data, close);
    });

    it('attention block', () => {
      const y = attentionBlock(params.encoder.mid!.attn1!, tensor(modules.attentionBlock.input), config.groups);
      expect(y).toBeAllClose(modules.attentionBlock.output.data, close);
    });

    it('downsampling pads the bottom and the right only', () => {
      const y = downsample(params.encoder.down[0]!.downsample!, tensor(modules.downsample.input));
      expect(y).toBeAllClose(modules.downsample.output.data, close);
    });

    it('upsampling repeats before it convolves', () => {
      const y = upsample(params.decoder.up[1]!.upsample!, tensor(modules.upsample.input));
      expect(y).toBeAllClose(modules.upsample.output.data, close);
    });
  });
});

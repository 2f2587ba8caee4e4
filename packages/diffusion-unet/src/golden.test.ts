import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { createRng, disposeParams, paramsFromSafetensors, restoreParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { createSchedule } from '@sgdiff/sampler';
import { readGolden, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareCondition, type UnetCondition } from './condition';
import type { UnetConfig } from './config';
import { diffusionLoss, minSnrWeight } from './loss';
import { downsample, upsample } from './resample';
import { resBlock } from './res-block';
import { spatialTransformer } from './spatial-transformer';
import { initUnet, unet, type UnetParams } from './unet';

type Plain = { readonly shape: number[]; readonly data: number[] };
type Golden = {
  readonly latents: Plain;
  readonly noise: Plain;
  readonly t: number[];
  readonly local: Plain;
  readonly mask: Plain;
  readonly global: Plain;
  readonly tokens: Plain;
  readonly noisy: Plain;
  readonly predicted: Plain;
  readonly predictedMasked: Plain;
  readonly epsErrors: number[];
  readonly vErrors: number[];
  readonly minSnr5: { readonly eps: number[]; readonly v: number[] };
  readonly gradients: Record<string, Plain>;
  readonly modules: {
    readonly resBlock: { readonly input: Plain; readonly time: Plain; readonly output: Plain };
    readonly spatialTransformer: { readonly input: Plain; readonly output: Plain };
    readonly downsample: { readonly input: Plain; readonly output: Plain };
    readonly upsample: { readonly input: Plain; readonly output: Plain };
  };
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/tiny.golden.json');
const config: UnetConfig = {
  inChannels: 3,
  outChannels: 3,
  modelChannels: 8,
  channelMults: [1, 2, 2],
  numResBlocks: 1,
  attentionFactors: [1, 4],
  headChannels: 4,
  transformerDepth: 1,
  contextWidth: 6,
  localWidth: 9,
  globalWidth: 6,
  globalInTime: false,
  maskPadding: false,
  groups: 4,
};
// float32 sums of some thousand terms in another order, through twenty layers.
const close = { rtol: 1e-4, atol: 1e-5 };
const tensor = <R extends tf.Rank>({ shape, data }: Plain): tf.Tensor<R> => tf.tensor<R>(data, shape as tf.ShapeMap[R]);

let params: UnetParams;
let condition: UnetCondition;
const times = Int32Array.from(golden.t);
const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

describe.each(['cpu', 'wasm'] as const)('on %s', (backend) => {
  beforeAll(async () => {
    await setupBackend(backend);
    const loaded = paramsFromSafetensors(readFileSync(new URL('../fixtures/tiny.safetensors', import.meta.url)));
    const template = initUnet(config, createRng(0));
    params = restoreParams(template, loaded);
    tf.dispose(loaded);
    disposeParams(template);
    condition = { local: tensor(golden.local), mask: tensor(golden.mask), global: tensor(golden.global) };
  });

  afterAll(() => disposeParams(params));

  describe('the network of diffusers with the same weights', () => {
    it('puts the tokens in the same order', () => {
      expect(prepareCondition(params.condition, config, condition, 2).tokens).toBeAllClose(golden.tokens.data, close);
    });

    it('predicts the same', () => {
      const y = unet(params, config, tensor(golden.noisy), tf.tensor1d(golden.t), condition);
      expect(y).toBeAllClose(golden.predicted.data, close);
    });

    it('predicts the same with the padding masked', () => {
      const masked = { ...config, maskPadding: true };
      const y = unet(params, masked, tensor(golden.noisy), tf.tensor1d(golden.t), condition);
      expect(y).toBeAllClose(golden.predictedMasked.data, close);
    });

    it.each(['eps', 'v'] as const)('has the same error of each item: %s', (prediction) => {
      const batch = {
        latents: tensor<tf.Rank.R4>(golden.latents),
        noise: tensor<tf.Rank.R4>(golden.noise),
        condition,
        t: times,
      };
      const { loss, perSample } = diffusionLoss(params, config, schedule, batch, { prediction });
      const expected = prediction === 'eps' ? golden.epsErrors : golden.vErrors;
      expect(perSample).toBeAllClose(expected, close);
      expect(loss).toBeAllClose([(expected[0]! + expected[1]!) / 2], close);
    });

    it('has the same gradients', () => {
      const variables = toVariables(params);
      const batch = {
        latents: tensor<tf.Rank.R4>(golden.latents),
        noise: tensor<tf.Rank.R4>(golden.noise),
        condition,
        t: times,
      };
      const { grads } = valueAndGrads(() => diffusionLoss(variables, config, schedule, batch).loss, variables);
      for (const [path, expected] of Object.entries(golden.gradients)) {
        expect(grads[path]!.shape).toEqual(expected.shape);
        expect(grads[path]).toBeAllClose(expected.data, close);
      }
      disposeParams(variables);
    });

    it.each(['eps', 'v'] as const)('weighs the items by min-SNR alike: %s', (prediction) => {
      const weights = golden.t.map((t) => minSnrWeight(schedule.alphasCumprod[t]!, 5, prediction));
      expect(weights).toBeAllClose(golden.minSnr5[prediction], { rtol: 1e-4, atol: 0 }); // float32 schedule there
    });
  });

  describe('each block of diffusers with the same weights', () => {
    const { modules } = golden;

    it('residual block with time embedding that widens', () => {
      const { input, time, output } = modules.resBlock;
      const y = resBlock(params.inputBlocks[3]!.res!, tensor(input), tensor(time), config.groups);
      expect(y).toBeAllClose(output.data, close);
    });

    it('spatial transformer', () => {
      const { input, output } = modules.spatialTransformer;
      const options = { groups: config.groups, heads: 4 };
      const y = spatialTransformer(params.inputBlocks[5]!.transformer!, tensor(input), tensor(golden.tokens), options);
      expect(y).toBeAllClose(output.data, close);
    });

    it('downsampling pads all four sides', () => {
      const y = downsample(params.inputBlocks[2]!.down!, tensor(modules.downsample.input));
      expect(y).toBeAllClose(modules.downsample.output.data, close);
    });

    it('upsampling repeats before it convolves', () => {
      const y = upsample(params.outputBlocks[1]!.up!, tensor(modules.upsample.input));
      expect(y).toBeAllClose(modules.upsample.output.data, close);
    });
  });
});

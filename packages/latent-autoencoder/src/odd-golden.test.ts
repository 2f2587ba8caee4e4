import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, treeFromPaths } from '@sgdiff/nn';
import { backendProblem, readGolden, seededTensors, seededUniform, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attentionBlock } from './attention-block';
import { decode, encode, type AutoencoderParams } from './autoencoder';
import { downsamplingFactor, levelWidths, type AutoencoderConfig } from './config';
import { quantize } from './quantizer';
import { downsample, upsample } from './resample';
import { resBlock } from './res-block';
import { autoencoderTensors } from './tensors';

type Case = {
  readonly config: AutoencoderConfig;
  readonly size: [batch: number, height: number, width: number];
  readonly latents: number[];
  readonly indices: number[];
  readonly decoded: number[];
  readonly downsample: number[];
  readonly upsample: number[];
};
type Golden = {
  readonly cases: Record<string, Case>;
  readonly faint: { readonly bound: number; readonly resBlock: number[]; readonly attentionBlock: number[] };
};
const { cases, faint } = readGolden<Golden>(import.meta.url, '../fixtures/odd.golden.json');
const problem = await backendProblem('webgpu');

// Against the largest value. webgpu rounds as the card or SwiftShader does.
const allowed = { cpu: 1e-4, wasm: 1e-4, webgpu: 1e-3 };

describe.each(['cpu', 'wasm', 'webgpu'] as const)('the models of diffusers with the same weights on %s', (backend) => {
  const skip = backend === 'webgpu' && problem !== undefined;
  beforeAll(() => (skip ? undefined : setupBackend(backend)));
  const close = (y: tf.Tensor, expected: number[]): Promise<void> => expectClose(y, expected, allowed[backend]);
  // On webgpu every other shape is another shader to compile, seconds on SwiftShader: the first case.
  const chosen = Object.entries(cases).slice(0, backend === 'webgpu' ? 1 : undefined);

  describe.skipIf(skip).each(chosen)(`%s${skip ? ` (${problem})` : ''}`, (_, one) => {
    const { config } = one;
    const [B, H, W] = one.size;
    const factor = downsamplingFactor(config);
    const latents = (): tf.Tensor4D => tf.tensor4d(one.latents, [B, H / factor, W / factor, config.embedDim]);
    let params: AutoencoderParams;
    beforeAll(() => {
      params = treeFromPaths<AutoencoderParams>(seededTensors(autoencoderTensors(config)));
    });
    afterAll(() => disposeParams(params));

    it('encode to the same latents', () =>
      close(
        tf.tidy(() => encode(params, config, uniform('images', [B, H, W, 3]))),
        one.latents,
      ));

    it('choose the same codes', async () => {
      const indices = tf.tidy(() => quantize(params, latents()).indices);
      expect([...(await indices.data())]).toEqual(one.indices);
      indices.dispose();
    });

    it('decode to the same images', () =>
      close(
        tf.tidy(() => decode(params, config, latents())),
        one.decoded,
      ));

    it('halve and double the sides alike', async () => {
      const widths = levelWidths(config);
      const down = params.encoder.down[0]!.downsample!;
      const up = params.decoder.up.at(-1)!.upsample!;
      await close(
        tf.tidy(() => downsample(down, uniform('x', [2, 4, 6, widths[0]!]))),
        one.downsample,
      );
      await close(
        tf.tidy(() => upsample(up, uniform('x', [2, 3, 1, widths.at(-1)!]))),
        one.upsample,
      );
    });
  });
});

describe.each(['cpu', 'wasm'] as const)('a block of the model of diffusers on %s', (backend) => {
  const { config } = cases['three levels, 24x40']!;
  let params: AutoencoderParams;
  beforeAll(async () => {
    await setupBackend(backend);
    params = treeFromPaths<AutoencoderParams>(seededTensors(autoencoderTensors(config)));
  });
  afterAll(() => disposeParams(params));

  // Inputs of a variance near the epsilon: with the epsilon of another norm the results are off by far more.
  it('has the epsilon of its norms', async () => {
    const x = (channels: number): tf.Tensor4D => uniform('x', [2, 4, 6, channels], faint.bound);
    const { down, mid } = params.encoder;
    const res = tf.tidy(() => resBlock(down[1]!.block[0]!, x(8), config.groups));
    await expectClose(res, faint.resBlock, allowed[backend]);
    const attended = tf.tidy(() => attentionBlock(mid!.attn1!, x(16), config.groups));
    await expectClose(attended, faint.attentionBlock, allowed[backend]);
  });
});

function uniform(name: string, shape: [number, number, number, number], bound = 1): tf.Tensor4D {
  return tf.tensor4d(seededUniform(name, tf.util.sizeFromShape(shape), bound), shape);
}

async function expectClose(y: tf.Tensor, expected: number[], relative: number): Promise<void> {
  const largest = Math.max(...expected.map(Math.abs));
  expect(await y.data()).toBeAllClose(expected, { rtol: 0, atol: relative * largest });
  y.dispose();
}

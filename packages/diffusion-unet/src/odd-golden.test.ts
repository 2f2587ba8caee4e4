import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, treeFromPaths } from '@sgdiff/nn';
import { backendProblem, readGolden, seededTensors, seededUniform, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UnetConfig } from './config';
import { resBlock } from './res-block';
import { spatialTransformer } from './spatial-transformer';
import { unetTensors } from './tensors';
import { transformerBlock } from './transformer-block';
import { unet, type UnetParams } from './unet';

type Case = {
  readonly config: UnetConfig;
  readonly size: [batch: number, height: number, width: number];
  readonly triples: number;
  readonly realTriples?: number[];
  readonly t: number[];
  readonly output: number[];
};
type Golden = {
  readonly cases: Record<string, Case>;
  readonly faint: {
    readonly bound: number;
    readonly resBlock: number[];
    readonly spatialTransformer: number[];
    readonly transformerBlock: number[];
  };
};
const { cases, faint } = readGolden<Golden>(import.meta.url, '../fixtures/odd.golden.json');
const problem = await backendProblem('webgpu');

// Against the largest value. webgpu rounds as the card or SwiftShader does.
const allowed = { cpu: 1e-4, wasm: 1e-4, webgpu: 1e-3 };

describe.each(['cpu', 'wasm', 'webgpu'] as const)(
  'the networks of diffusers with the same weights on %s',
  (backend) => {
    const skip = backend === 'webgpu' && problem !== undefined;
    beforeAll(() => (skip ? undefined : setupBackend(backend)));

    // On webgpu every other shape is another shader to compile, seconds on SwiftShader: the first two cases.
    const chosen = Object.entries(cases).slice(0, backend === 'webgpu' ? 2 : undefined);

    it.skipIf(skip).each(chosen)(`predict the same: %s${skip ? ` (${problem})` : ''}`, async (_, one) => {
      const { config, triples } = one;
      const params = treeFromPaths<UnetParams>(seededTensors(unetTensors(config)));
      const y = tf.tidy(() => {
        const [B, h, w] = one.size;
        const real = one.realTriples ?? Array<number>(B).fill(triples);
        const mask = real.flatMap((n) => Array.from({ length: triples }, (__, i) => (i < n ? 1 : 0)));
        const condition = {
          local: uniform<tf.Rank.R3>('local', [B, triples, config.localWidth]),
          mask: tf.tensor2d(mask, [B, triples]),
          global: uniform<tf.Rank.R2>('global', [B, config.globalWidth]),
        };
        return unet(params, config, uniform('x', [B, h, w, config.inChannels]), tf.tensor1d(one.t), condition);
      });
      expect(y.shape).toEqual([...one.size, config.outChannels]);
      await expectClose(y, one.output, allowed[backend]);
      disposeParams(params);
    });
  },
);

// Inputs of a variance near the epsilons: with the epsilon of another norm the results are off by far more.
describe.each(['cpu', 'wasm'] as const)('a block of diffusers has the same epsilons on %s', (backend) => {
  const { config } = cases['published form, 8x12']!;
  const { groups } = config;
  const tokens = (): tf.Tensor3D => uniform('tokens', [2, 16, config.contextWidth]);
  let params: UnetParams;
  beforeAll(async () => {
    await setupBackend(backend);
    params = treeFromPaths<UnetParams>(seededTensors(unetTensors(config)));
  });
  afterAll(() => disposeParams(params));

  it('residual block', async () => {
    const y = tf.tidy(() => {
      const x = uniform<tf.Rank.R4>('x', [2, 4, 6, 8], faint.bound);
      return resBlock(params.inputBlocks[4]!.res!, x, uniform('time', [2, 32]), groups);
    });
    await expectClose(y, faint.resBlock, allowed[backend]);
  });

  it('spatial transformer', async () => {
    const y = tf.tidy(() => {
      const x = uniform<tf.Rank.R4>('x', [2, 4, 6, 16], faint.bound);
      return spatialTransformer(params.inputBlocks[4]!.transformer!, x, tokens(), { groups, heads: 4 });
    });
    await expectClose(y, faint.spatialTransformer, allowed[backend]);
  });

  it('transformer block', async () => {
    const y = tf.tidy(() => {
      const x = uniform<tf.Rank.R3>('x', [2, 24, 16], faint.bound);
      return transformerBlock(params.inputBlocks[4]!.transformer!.blocks[0]!, x, tokens(), { heads: 4 });
    });
    await expectClose(y, faint.transformerBlock, allowed[backend]);
  });
});

function uniform<R extends tf.Rank>(name: string, shape: tf.ShapeMap[R], bound = Math.sqrt(3)): tf.Tensor<R> {
  return tf.tensor<R>(seededUniform(name, tf.util.sizeFromShape(shape), bound), shape);
}

async function expectClose(y: tf.Tensor, expected: number[], relative: number): Promise<void> {
  const largest = Math.max(...expected.map(Math.abs));
  expect(await y.data()).toBeAllClose(expected, { rtol: 0, atol: relative * largest });
  y.dispose();
}

import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, treeFromPaths } from '@sgdiff/nn';
import { backendProblem, readGolden, seededTensors, seededUniform, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import type { UnetConfig } from './config';
import { unetTensors } from './tensors';
import { unet, type UnetParams } from './unet';

type Case = {
  readonly config: UnetConfig;
  readonly size: [batch: number, height: number, width: number];
  readonly triples: number;
  readonly t: number[];
  /** The mask of the padding, or the weights of the tokens: `[B, T]`. */
  readonly shares?: number[][];
  readonly maps: { readonly factor: number; readonly shares: number[] }[];
  readonly output: number[];
};
const { cases } = readGolden<{ cases: Record<string, Case> }>(import.meta.url, '../fixtures/attention.golden.json');
const problem = await backendProblem('webgpu');

describe.each(['cpu', 'wasm', 'webgpu'] as const)(
  'cross-attention of diffusers with the same weights on %s',
  (backend) => {
    const skip = backend === 'webgpu' && problem !== undefined;
    beforeAll(() => (skip ? undefined : setupBackend(backend)));

    it.skipIf(skip).each(Object.entries(cases))(
      `shares out alike: %s${skip ? ` (${problem})` : ''}`,
      async (_, one) => {
        const { config, triples, shares } = one;
        const [B, h, w] = one.size;
        const params = treeFromPaths<UnetParams>(seededTensors(unetTensors(config)));
        const seen: { factor: number; shares: tf.Tensor4D }[] = [];
        const y = tf.tidy(() => {
          const given = shares && tf.tensor2d(shares);
          const all = tf.ones<tf.Rank.R2>([B, triples]);
          const condition = {
            local: uniform<tf.Rank.R3>('local', [B, triples, config.localWidth]),
            mask: config.maskPadding && given ? given : all,
            ...(!config.maskPadding && given ? { weights: given } : {}),
            global: uniform<tf.Rank.R2>('global', [B, config.globalWidth]),
          };
          return unet(params, config, uniform('x', [B, h, w, config.inChannels]), tf.tensor1d(one.t), condition, {
            onAttention: (map) => seen.push({ factor: map.factor, shares: tf.keep(map.shares) }),
          });
        });
        expect(seen.map(({ factor }) => factor)).toEqual(one.maps.map(({ factor }) => factor));
        // webgpu rounds as the card or SwiftShader does.
        const atol = backend === 'webgpu' ? 1e-3 : 1e-5;
        for (const [i, map] of seen.entries()) {
          expect(map.shares.shape).toEqual([B, h / map.factor, w / map.factor, triples + 1]);
          expect(await map.shares.data()).toBeAllClose(one.maps[i]!.shares, { rtol: 0, atol });
        }
        const largest = Math.max(...one.output.map(Math.abs));
        expect(await y.data()).toBeAllClose(one.output, {
          rtol: 0,
          atol: (backend === 'webgpu' ? 1e-3 : 1e-4) * largest,
        });
        tf.dispose([y, seen]);
        disposeParams(params);
      },
    );
  },
);

function uniform<R extends tf.Rank>(name: string, shape: tf.ShapeMap[R]): tf.Tensor<R> {
  return tf.tensor<R>(seededUniform(name, tf.util.sizeFromShape(shape), Math.sqrt(3)), shape);
}

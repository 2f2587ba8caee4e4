import { freemem } from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, startKernelThreads, treeFromPaths } from '@sgdiff/nn';
import { readGolden, seededTensors, seededUniform, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { publishedUnetConfig } from './config';
import type * as resBlockModule from './res-block';
import type * as spatialTransformerModule from './spatial-transformer';
import { unetTensors } from './tensors';
import { unet, type UnetParams } from './unet';

type Tap = { readonly kind: string; readonly size: number; readonly step: number; readonly largest: number };
type Golden = {
  readonly size: [batch: number, height: number, width: number];
  readonly triples: number;
  readonly t: number[];
  readonly output: number[];
  /** What each block gave, in the order they run: every `step`-th value, and the largest absolute value of all. */
  readonly taps: readonly (Tap & { readonly values: number[] })[];
};
type Seen = { readonly kind: string; readonly values: Float32Array };

const seen = vi.hoisted(() => [] as Seen[]);

/** The module with a note taken of what its function gives. */
function noted<T extends Record<string, unknown>>(module: T, kind: keyof T & string): T {
  const block = module[kind] as (...args: unknown[]) => tf.Tensor;
  const noting = (...args: unknown[]): tf.Tensor => {
    const y = block(...args);
    seen.push({ kind, values: y.dataSync<'float32'>() });
    return y;
  };
  return { ...module, [kind]: noting };
}
vi.mock('./res-block', async (original) => noted(await original<typeof resBlockModule>(), 'resBlock'));
vi.mock('./spatial-transformer', async (original) =>
  noted(await original<typeof spatialTransformerModule>(), 'spatialTransformer'),
);

const NEEDED_GIB = 4; // 2.1 at the peak, and room for what else runs
const availableGib = (process.availableMemory?.() ?? freemem()) / 2 ** 30;
const problem = availableGib < NEEDED_GIB ? `needs ${NEEDED_GIB} GiB, ${availableGib.toFixed(1)} are free` : undefined;

describe.skipIf(problem)(`the published network in full size${problem ? ` (${problem})` : ''}`, () => {
  const golden = readGolden<Golden>(import.meta.url, '../fixtures/full.golden.json');
  const config = publishedUnetConfig;
  let params: UnetParams;
  let output: Float32Array;

  beforeAll(async () => {
    await setupBackend('wasm', { shared: true });
    const threads = await startKernelThreads(2);
    params = treeFromPaths<UnetParams>(seededTensors(unetTensors(config))); // 1.6 GB, one at a time
    const [B, h, w] = golden.size;
    const uniform = <R extends tf.Rank>(name: string, ...shape: number[]): tf.Tensor<R> =>
      tf.tensor(seededUniform(name, tf.util.sizeFromShape(shape), Math.sqrt(3)), shape as tf.ShapeMap[R]);
    output = tf.tidy(() => {
      const condition = {
        local: uniform<tf.Rank.R3>('local', B, golden.triples, config.localWidth),
        mask: tf.ones<tf.Rank.R2>([B, golden.triples]),
        global: uniform<tf.Rank.R2>('global', B, config.globalWidth),
      };
      const y = unet(params, config, uniform('x', B, h, w, config.inChannels), tf.tensor1d(golden.t), condition);
      return y.dataSync<'float32'>();
    });
    await threads.dispose();
  }, 300_000);

  afterAll(() => (params ? disposeParams(params) : undefined));

  it('runs the blocks in the order of diffusers, each with the same values', () => {
    expect(seen.map(({ kind, values }) => [kind, values.length])).toEqual(
      golden.taps.map(({ kind, size }) => [kind, size]),
    );
    golden.taps.forEach(({ values, step, largest }, i) => {
      const sampled = values.map((_, k) => seen[i]!.values[k * step]!);
      expect(sampled).toBeAllClose(values, { rtol: 0, atol: 1e-4 * largest });
    });
  });

  it('predicts what diffusers predicts', () => {
    const largest = Math.max(...golden.output.map(Math.abs));
    expect(output).toBeAllClose(golden.output, { rtol: 0, atol: 1e-4 * largest });
  });
});

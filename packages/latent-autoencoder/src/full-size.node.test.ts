import { freemem } from 'node:os';
import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, startKernelThreads, treeFromPaths, type KernelThreads } from '@sgdiff/nn';
import { readGolden, seededTensors, seededUniform, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode, encode, type AutoencoderParams } from './autoencoder';
import { publishedVqF8Config } from './config';
import { quantize } from './quantizer';
import { autoencoderTensors } from './tensors';

type Golden = {
  readonly imageSide: number;
  readonly latents: number[];
  readonly latentSide: number;
  readonly indices: number[];
  /** Every `step`-th number of the decoded image stands in `decoded`; the largest of all is `largest`. */
  readonly step: number;
  readonly decoded: number[];
  readonly largest: number;
};

const NEEDED_GIB = 2; // 1 at the peak, and room for what else runs
const availableGib = (process.availableMemory?.() ?? freemem()) / 2 ** 30;
const problem = availableGib < NEEDED_GIB ? `needs ${NEEDED_GIB} GiB, ${availableGib.toFixed(1)} are free` : undefined;

describe.skipIf(problem)(`the published vq-f8 in full size${problem ? ` (${problem})` : ''}`, () => {
  const golden = readGolden<Golden>(import.meta.url, '../fixtures/full.golden.json');
  const config = publishedVqF8Config;
  let threads: KernelThreads;
  let params: AutoencoderParams;
  const latents = (): tf.Tensor4D => uniform('z', 1, golden.latentSide, golden.latentSide, 4);

  beforeAll(async () => {
    await setupBackend('wasm', { shared: true });
    threads = await startKernelThreads(2);
    params = treeFromPaths<AutoencoderParams>(seededTensors(autoencoderTensors(config)));
  });
  afterAll(async () => {
    disposeParams(params);
    await threads.dispose();
  });

  it('encodes as diffusers does', () => {
    const side = golden.imageSide;
    const z = tf.tidy(() => encode(params, config, uniform('images', 1, side, side, 3)));
    const largest = Math.max(...golden.latents.map(Math.abs));
    expect(z.shape).toEqual([1, side / 8, side / 8, 4]);
    expect(z.dataSync()).toBeAllClose(golden.latents, { rtol: 0, atol: 1e-4 * largest });
    z.dispose();
  });

  it('finds the same of the 16,384 codes', () => {
    const indices = tf.tidy(() => quantize(params, latents()).indices);
    expect([...indices.dataSync()]).toEqual(golden.indices);
    indices.dispose();
  });

  it('decodes as diffusers does', () => {
    const image = tf.tidy(() => decode(params, config, latents()));
    const values = image.dataSync();
    const sampled = golden.decoded.map((_, i) => values[i * golden.step]!);
    expect(image.shape).toEqual([1, 8 * golden.latentSide, 8 * golden.latentSide, 3]);
    expect(sampled).toBeAllClose(golden.decoded, { rtol: 0, atol: 1e-4 * golden.largest });
    image.dispose();
  }, 300_000);
});

function uniform(name: string, ...shape: [number, number, number, number]): tf.Tensor4D {
  return tf.tensor4d(seededUniform(name, tf.util.sizeFromShape(shape), 1), shape);
}

import * as tf from '@tensorflow/tfjs-core';
import { disposeParams, flattenParams, mapParams, createRng, valueAndGrads, type ParamTree } from '@sgdiff/nn';
import { backendProblem, readGolden, seededUniform, seededWeights, setupBackend, type TestBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { initAutoencoder } from './autoencoder';
import type { AutoencoderConfig } from './config';
import { firstStageGradients } from './first-stage';
import { initLpips, lpips, type LpipsConfig, type LpipsParams } from './lpips';
import { initPatchDiscriminator, initRunningStatistics, patchDiscriminator, type RunningStatistics } from './patch-discriminator';

// References: tools/golden/first_stage_losses.py. Weights and images are made from names, here as there.

type Shape4 = [number, number, number, number];
type Numbers = Record<string, number[]>;
type Perceptual = LpipsConfig & { shape: Shape4; values: number[]; gradient: number[]; gradientOfOthers?: number[] };
type Discriminator = {
  channels: number;
  layers: number;
  shape: Shape4;
  logitsShape: Shape4;
  logits: number[];
  gradients: Numbers;
  runningAfterTwo: { mean: number[]; variance: number[] }[];
  logitsInEvaluation: number[];
};
type Golden = {
  perceptual: { narrow: Perceptual; full: Perceptual; /** The distance at 32×32 over all of VGG16. */ at32: number };
  discriminator: Discriminator[];
  composite: {
    shape: Shape4;
    perceptualWeight: number;
    discriminatorWeight: number;
    loss: number;
    terms: Record<string, number>;
    gradients: Numbers;
    discriminator: { loss: number; gradients: Numbers; running: { mean: number[]; variance: number[] }[] };
  };
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/first-stage-losses.golden.json');
const backends: readonly { name: TestBackend; tolerance: number; problem: string | undefined }[] = [
  { name: 'cpu', tolerance: 1e-4, problem: undefined },
  { name: 'wasm', tolerance: 1e-4, problem: undefined },
  { name: 'webgpu', tolerance: 1e-3, problem: await backendProblem('webgpu') },
];
const autoencoderConfig: AutoencoderConfig = {
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

/** The tree with weights made from their names. */
function seeded<T extends ParamTree>(fresh: T): T {
  const values = new Map(seededWeights(flattenParams(fresh).map(({ path, tensor }) => ({ path, shape: tensor.shape }))));
  const made = mapParams(fresh, ({ shape }, path) => {
    const own = values.get(path)!;
    return tf.tensor(path.startsWith('heads.') ? own.map(Math.abs) : own, shape);
  });
  disposeParams(fresh);
  return made;
}

function images(name: string, shape: Shape4): tf.Tensor4D {
  return tf.tensor4d(seededUniform(name, shape.reduce((a, b) => a * b), 1), shape);
}

const perceptual = (config: LpipsConfig): LpipsParams => seeded(initLpips(config, createRng(0)));

describe.each(backends)('the losses of PyTorch on $name', ({ name, tolerance, problem }) => {
  beforeAll(async () => {
    if (!problem) await setupBackend(name);
  });

  /** Relative to the largest value; a sum that cancels to almost nothing is held to `floor` instead. */
  async function expectClose(received: tf.Tensor, expected: readonly number[], floor = 0): Promise<void> {
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), floor);
    expect(await received.data()).toBeAllClose(expected, { rtol: 0, atol: tolerance * largest });
  }

  async function expectRunning(received: RunningStatistics, expected: { mean: number[]; variance: number[] }[]): Promise<void> {
    expect(received).toHaveLength(expected.length);
    for (const [i, { mean, variance }] of received.entries()) {
      await expectClose(mean, expected[i]!.mean, 0.1);
      await expectClose(variance, expected[i]!.variance);
    }
  }

  async function comparePerceptual(golden: Perceptual): Promise<void> {
    const params = perceptual(golden);
    const [x, y] = [images('images', golden.shape), images('others', golden.shape)];
    const factors = tf.range(1, golden.shape[0] + 1);
    await expectClose(lpips(params, x, y), golden.values);
    const { grads } = valueAndGrads(() => tf.sum(tf.mul(lpips(params, x, y), factors)) as tf.Scalar, { x, y });
    await expectClose(grads['x']!, golden.gradient);
    if (golden.gradientOfOthers) await expectClose(grads['y']!, golden.gradientOfOthers);
    tf.dispose([grads, x, y, factors]);
    disposeParams(params);
  }

  it.skipIf(problem)('lpips, narrow, odd sides: distances and gradients of both images', async () => {
    await comparePerceptual(golden.perceptual.narrow);
  });

  // Pure JavaScript would take most of a minute, a GPU in software several.
  it.skipIf(problem ?? name !== 'wasm')('lpips over all of VGG16: distance and gradient', async () => {
    await comparePerceptual(golden.perceptual.full);
    const params = perceptual(golden.perceptual.full);
    const [x, y] = [images('images', [1, 32, 32, 3]), images('others', [1, 32, 32, 3])];
    await expectClose(lpips(params, x, y), [golden.perceptual.at32]);
    disposeParams(params);
  });

  it.skipIf(problem).each(golden.discriminator)('PatchGAN of $layers layers: logits, gradients, running statistics', async (golden) => {
    const config = { imageChannels: 3, channels: golden.channels, layers: golden.layers };
    const params = seeded(initPatchDiscriminator(config, createRng(0)));
    const start = initRunningStatistics(config);
    const x = images('images', golden.shape);
    const first = patchDiscriminator(params, start, x, { training: true });
    expect(first.logits.shape).toEqual(golden.logitsShape);
    await expectClose(first.logits, golden.logits);

    const factors = images('factors', golden.logitsShape);
    const judged = (): tf.Scalar => tf.sum(tf.mul(patchDiscriminator(params, start, x, { training: true }).logits, factors));
    const { grads } = valueAndGrads(judged, { images: x, ...params });
    expect(Object.keys(grads).sort()).toEqual(Object.keys(golden.gradients).sort());
    for (const [path, expected] of Object.entries(golden.gradients)) await expectClose(grads[path]!, expected);

    const second = patchDiscriminator(params, first.running, images('others', golden.shape), { training: true });
    await expectRunning(second.running, golden.runningAfterTwo);
    const evaluated = patchDiscriminator(params, second.running, x, { training: false });
    await expectClose(evaluated.logits, golden.logitsInEvaluation);
    await expectRunning(evaluated.running, golden.runningAfterTwo);
    tf.dispose(grads);
  });

  it.skipIf(problem)('the whole loss: adaptive weight, terms, gradients of autoencoder and discriminator', async () => {
    const { composite } = golden;
    const params = seeded(initAutoencoder(autoencoderConfig, createRng(0)));
    const judge = { imageChannels: 3, channels: 2, layers: 2 };
    const discriminator = seeded(initPatchDiscriminator(judge, createRng(0)));
    const step = firstStageGradients(params, autoencoderConfig, images('images', composite.shape), {
      legacy: true,
      perceptual: { params: perceptual(golden.perceptual.narrow), weight: composite.perceptualWeight },
      adversarial: { params: discriminator, running: initRunningStatistics(judge), weight: composite.discriminatorWeight },
    });
    expect(Object.keys(step.terms).sort()).toEqual(Object.keys(composite.terms).sort());
    for (const [term, expected] of Object.entries(composite.terms)) await expectClose(step.terms[term]!, [expected], 0.1);
    await expectClose(step.loss, [composite.loss]);
    for (const [path, expected] of Object.entries(composite.gradients)) await expectClose(step.grads[path]!, expected);
    expect(Object.keys(step.grads)).toHaveLength(flattenParams(params).length);
    await expectClose(step.discriminator!.loss, [composite.discriminator.loss]);
    for (const [path, expected] of Object.entries(composite.discriminator.gradients)) {
      await expectClose(step.discriminator!.grads[path]!, expected);
    }
    await expectRunning(step.discriminator!.running, composite.discriminator.running);
  }, 300_000); // without a GPU webgpu takes half a minute to make its programs
});

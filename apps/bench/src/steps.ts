// Shapes: B batch, h w C latent sides and channels, T triples of the condition, N network calls of a sampling step.
import { diffusionLoss, initUnet, pictureBookUnetConfig, unet, unetFlops, unetParameterCount } from '@sgdiff/diffusion-unet';
import type { DiffusionBatch, UnetConfig, UnetCondition, UnetParams } from '@sgdiff/diffusion-unet';
import { createAdamW, createEma, createRng, disposeParams, flattenParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { classifierFreeGuidance, createSchedule, denoiserFromModel } from '@sgdiff/sampler';
import * as tf from '@tensorflow/tfjs-core';
import type { BenchCase, Work } from './bench-case';
import { createPlainOptimiser } from './plain/optimiser';

/** As picture-book trains. */
const OPTIMISER = { learningRate: 8e-4, weightDecay: 0.01, clipNorm: 1, emaDecay: 0.999 };
const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
const GUIDANCE_SCALE = 3;

// Clipping, two moments, decay, update and average: operations and bytes per weight.
const UPDATE_FLOPS = 20;
const UPDATE_BYTES = 4 * 9; // reads gradient, weight, two moments, average; writes the latter four

export type StepSizes = {
  readonly config: UnetConfig;
  readonly side: number;
  readonly triples: number;
  readonly batch: number;
  readonly pictures: number;
};

export const PICTURE_BOOK: StepSizes = { config: pictureBookUnetConfig, side: 16, triples: 12, batch: 16, pictures: 4 };

/** A network that trains in milliseconds. */
export const SMALL: StepSizes = {
  config: {
    ...pictureBookUnetConfig,
    modelChannels: 16,
    channelMults: [1, 2],
    attentionFactors: [2],
    headChannels: 8,
    contextWidth: 16,
    localWidth: 24,
    globalWidth: 12,
  },
  side: 8,
  triples: 3,
  batch: 2,
  pictures: 1,
};

/** The whole update of the picture-book U-Net's weights, a training step and a sampling step. */
export function stepCases(sizes: StepSizes): BenchCase[] {
  const { config, side, triples, batch, pictures } = sizes;
  const weights = unetParameterCount(config);
  const flops = unetFlops(config, { height: side, width: side, triples });
  const network = `${(weights / 1e6).toFixed(1)} M weights`;
  const pytorch = { config, weights, side, triples, ...OPTIMISER };
  return [
    {
      op: 'adamw-ema',
      part: 'nn',
      shape: network,
      flops: UPDATE_FLOPS * weights,
      bytes: UPDATE_BYTES * weights,
      baseline: () => "tfjs' Adam, and clipping, decay and average by operations on each weight",
      pytorch: { make: 'adamw_ema', args: pytorch },
      create: () => createUpdate(sizes),
    },
    {
      op: 'train-step',
      part: 'model',
      shape: `batch ${batch} of ${side}×${side}×${config.inChannels}, ${network}`,
      flops: 3 * batch * flops,
      bytes: null,
      baseline: () => "the same U-Net of tfjs' operations, with tfjs' Adam",
      pytorch: { make: 'train_step', args: { ...pytorch, batch } },
      create: () => createTrainStep(sizes),
    },
    {
      op: 'sample-step',
      part: 'model',
      shape: `${pictures} pictures with guidance, ${side}×${side}×${config.inChannels}`,
      flops: 2 * pictures * flops,
      bytes: null,
      baseline: () => "the same U-Net of tfjs' operations",
      pytorch: { make: 'sample_step', args: { ...pytorch, batch: 2 * pictures, guidanceScale: GUIDANCE_SCALE } },
      create: () => createSampleStep(sizes),
    },
  ];
}

/** Trains on one batch over and over: each run is a step that gives the loss. */
export function createTrainer(sizes: StepSizes): { step(): tf.Scalar; dispose(): void } {
  const { config } = sizes;
  const params = freshVariables(config);
  const optimiser = createOurOptimiser(params);
  const batch = createBatch(sizes);
  return {
    step() {
      const loss = (): tf.Scalar => diffusionLoss(params, config, schedule, batch, { prediction: 'v' }).loss;
      const { value, grads } = valueAndGrads(loss, params);
      optimiser.step(grads);
      tf.dispose(grads);
      return value;
    },
    dispose() {
      optimiser.dispose();
      disposeParams(params);
      tf.dispose([batch.latents, batch.noise, batch.condition]);
    },
  };
}

async function createTrainStep(sizes: StepSizes): Promise<Work> {
  const plainUnet = await import('./plain-unet.js');
  const { config } = sizes;
  const trainer = createTrainer(sizes);
  const params = freshVariables(config);
  const variables = variablesOf(params);
  const optimiser = createPlainOptimiser(variables, OPTIMISER);
  const batch = createBatch(sizes);
  return {
    ours: () => [trainer.step()],
    plain() {
      const loss = (): tf.Scalar => plainUnet.diffusionLoss(params, config, schedule, batch, { prediction: 'v' }).loss;
      const { value, grads } = tf.variableGrads(loss, variables);
      tf.dispose([optimiser.step(grads), grads]);
      return [value];
    },
    dispose() {
      trainer.dispose();
      optimiser.dispose();
      disposeParams(params);
      tf.dispose([batch.latents, batch.noise, batch.condition]);
    },
  };
}

async function createSampleStep({ config, side, triples, pictures }: StepSizes): Promise<Work> {
  const plainUnet = await import('./plain-unet.js');
  const params = initUnet(config, createRng('bench', 'unet'));
  const condition = createCondition(config, 2 * pictures, triples);
  const keep = tf.tensor1d(Float32Array.from({ length: 2 * pictures }, (_, i) => (i < pictures ? 1 : 0)));
  const x = normal([pictures, side, side, config.inChannels], 'x') as tf.Tensor4D;
  const run = (network: typeof unet) => {
    const denoiser = denoiserFromModel<tf.Tensor4D>(
      (xT, t) => network(params, config, xT, t, condition, { keep }),
      schedule,
      'v',
    );
    const guided = classifierFreeGuidance(denoiser, { guidanceScale: GUIDANCE_SCALE });
    return () => [guided(x, 1, { index: 0, steps: 1 })];
  };
  return {
    ours: run(unet),
    plain: run(plainUnet.unet),
    dispose() {
      disposeParams(params);
      tf.dispose([condition, keep, x]);
    },
  };
}

async function createUpdate({ config }: StepSizes): Promise<Work> {
  const [ourParams, plainParams] = [freshVariables(config), freshVariables(config)];
  const variables = variablesOf(plainParams);
  const ours = createOurOptimiser(ourParams);
  const plain = createPlainOptimiser(variables, OPTIMISER);
  const entries = flattenParams(ourParams);
  const grads = Object.fromEntries(entries.map(({ path, tensor }) => [path, normal(tensor.shape, path)]));
  const byVariable = Object.fromEntries(variables.map(({ name }, i) => [name, grads[entries[i].path]]));
  return {
    ours() {
      ours.step(grads);
      return [tf.clone(entries[0].tensor)];
    },
    plain() {
      plain.step(byVariable).dispose();
      return [tf.clone(variables[0])];
    },
    dispose() {
      ours.dispose();
      plain.dispose();
      disposeParams(ourParams);
      disposeParams(plainParams);
      tf.dispose(grads);
    },
  };
}

function createOurOptimiser(params: UnetParams): { step(grads: Record<string, tf.Tensor>): void; dispose(): void } {
  const { learningRate, weightDecay, clipNorm, emaDecay } = OPTIMISER;
  const adam = createAdamW(params, { learningRate, weightDecay, decayFilter: (_path, tensor) => tensor.rank > 1 });
  const ema = createEma(params, { decay: emaDecay });
  return {
    step(grads) {
      adam.clippedStep(grads, clipNorm).dispose();
      ema.update(params);
    },
    dispose() {
      adam.dispose();
      ema.dispose();
    },
  };
}

function createBatch({ config, side, triples, batch }: StepSizes): DiffusionBatch {
  const shape = [batch, side, side, config.inChannels];
  const rng = createRng('bench', 'times');
  return {
    latents: normal(shape, 'latents') as tf.Tensor4D,
    noise: normal(shape, 'noise') as tf.Tensor4D,
    t: Int32Array.from({ length: batch }, () => rng.int(schedule.timesteps)),
    condition: createCondition(config, batch, triples),
  };
}

/** Items with one to `triples` triples in turn. */
function createCondition({ localWidth, globalWidth }: UnetConfig, batch: number, triples: number): UnetCondition {
  const mask = Float32Array.from({ length: batch * triples }, (_, i) => (i % triples <= Math.floor(i / triples) % triples ? 1 : 0));
  return {
    local: normal([batch, triples, localWidth], 'local') as tf.Tensor3D,
    mask: tf.tensor2d(mask, [batch, triples]),
    global: normal([batch, globalWidth], 'global') as tf.Tensor2D,
  };
}

function freshVariables(config: UnetConfig): UnetParams {
  const params = initUnet(config, createRng('bench', 'unet'));
  const variables = toVariables(params);
  disposeParams(params);
  return variables;
}

function variablesOf(params: UnetParams): tf.Variable[] {
  return flattenParams(params).map(({ tensor }) => tensor as tf.Variable);
}

function normal(shape: number[], key: string): tf.Tensor {
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor(createRng('bench', key).fillNormal(new Float32Array(size)), shape);
}

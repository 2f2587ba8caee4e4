import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { CheckpointError, GradientError } from './errors';
import { clipFlat, joinFlat, rememberFlat, splitFlat } from './flat';
import { expectShape } from './shapes';
import { flattenParams, type ParamTree } from './tree';
import { hasWasmKernels } from './wasm/multiply';
import { wasmAdamW } from './wasm/optimiser';
import { webgpuAdamW } from './webgpu/adamw';
import { hasWebgpu } from './webgpu/backend';

export type AdamWOptions = {
  readonly learningRate: number;
  readonly beta1?: number;
  readonly beta2?: number;
  readonly eps?: number;
  readonly weightDecay?: number;
  /** Which weights decay; all by default. */
  readonly decayFilter?: (path: string, tensor: tf.Tensor) => boolean;
};

/** What the paths of the backends are told of a step. */
export type AdamWSettings = {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly rate: number;
  /** Number of the step, from 1. */
  readonly step: number;
};

export type AdamWStepOptions = { readonly learningRate?: number };

export type AdamW = {
  /** One update of the variables. Borrows the gradients. Throws GradientError unless there is one for each weight. */
  step(grads: Readonly<Record<string, tf.Tensor>>, options?: AdamWStepOptions): void;
  /**
   * The same with gradients scaled so that their common norm is at most `maxNorm`, as by `clipByGlobalNorm` but with
   * fewer operations.
   *
   * @returns The norm before clipping. The caller disposes it.
   */
  clippedStep(grads: Readonly<Record<string, tf.Tensor>>, maxNorm: number, options?: AdamWStepOptions): tf.Scalar;
  /** `step`, and `m.<path>`, `v.<path>` per weight. The caller disposes the tensors. */
  state(): Record<string, tf.Tensor>;
  /** Continues from a saved state. Borrows it. Throws CheckpointError if it does not fit, and changes nothing then. */
  loadState(record: Readonly<Record<string, tf.Tensor>>): void;
  dispose(): void;
};

/**
 * Adam with decoupled weight decay, moments kept by name.
 *
 * @param params A tree of variables (`toVariables`). Borrowed; `step` assigns them.
 * @throws TypeError if a weight is no variable, or a beta is not from 0 to below 1.
 * @see arXiv:1711.05101, algorithm 2. As in PyTorch the decay is multiplied by the learning rate.
 */
export function createAdamW(params: ParamTree, options: AdamWOptions): AdamW {
  const {
    learningRate,
    beta1 = 0.9,
    beta2 = 0.999,
    eps = 1e-8,
    weightDecay = 0.01,
    decayFilter = () => true,
  } = options;
  requireBetas('createAdamW', beta1, beta2);
  const entries = flattenParams(params);
  const variables = entries.map(({ path, tensor }) => {
    if (tensor instanceof tf.Variable) return tensor;
    throw new TypeError(
      `createAdamW: expected "${path}" to be a tf.Variable, received a plain tensor. Use toVariables.`,
    );
  });
  const size = entries.reduce((total, { tensor }) => total + tensor.size, 0);
  const decays = entries.map(({ path, tensor }) => (decayFilter(path, tensor) ? weightDecay : 0));
  let steps = 0;
  let m: tf.Tensor1D = tf.zeros([size]);
  let v: tf.Tensor1D = tf.zeros([size]);
  // Of the composition: the decays of all numbers, and the weights as one vector.
  let decayVector: tf.Tensor1D | undefined;
  let flat: tf.Tensor1D | undefined;

  function update(
    grads: Readonly<Record<string, tf.Tensor>>,
    maxNorm: number | undefined,
    { learningRate: rate = learningRate }: AdamWStepOptions = {},
  ): tf.Scalar | undefined {
    checkGradients(entries, grads);
    const ordered = entries.map(({ path }) => grads[path]!);
    const norm = hasWasmKernels() ? updateInOnePass(ordered, maxNorm, rate) : updateByVectors(ordered, maxNorm, rate);
    steps++; // not before: a step that ran out of memory was none
    return norm;
  }

  function updateInOnePass(grads: tf.Tensor[], maxNorm: number | undefined, rate: number): tf.Scalar | undefined {
    return tf.tidy(() => {
      const settings = { beta1, beta2, eps, rate, step: steps + 1, decays, maxNorm };
      const { weights, norm } = wasmAdamW(variables, grads, m, v, settings);
      variables.forEach((variable, i) => variable.assign(weights[i]!));
      return norm;
    });
  }

  function updateByVectors(grads: tf.Tensor[], maxNorm: number | undefined, rate: number): tf.Scalar | undefined {
    decayVector ??= tf.tidy(() => tf.keep(tf.concat1d(decays.map((decay, i) => tf.fill([variables[i]!.size], decay)))));
    const decay = decayVector;
    const next = tf.tidy(() => {
      const joined = joinFlat(grads);
      const { flat: g, norm } = maxNorm === undefined ? { flat: joined, norm: undefined } : clipFlat(joined, maxNorm);
      const p = joinFlat(variables);
      const settings = { beta1, beta2, eps, rate, step: steps + 1 };
      const [m1, v1, flat1] = (hasWebgpu() ? webgpuAdamW : adamWByVectors)(p, g, m, v, decay, settings);
      const parts = splitFlat(flat1, variables);
      variables.forEach((variable, i) => variable.assign(parts[i]!));
      return { m: m1, v: v1, flat: flat1, norm };
    });
    tf.dispose([m, v, flat]);
    ({ m, v, flat } = next);
    rememberFlat(variables, next.flat);
    return next.norm;
  }

  return {
    step: (grads, stepOptions) => void update(grads, undefined, stepOptions),
    clippedStep: (grads, maxNorm, stepOptions) => update(grads, maxNorm, stepOptions)!,
    state: () =>
      tf.tidy(() => {
        const record: Record<string, tf.Tensor> = { step: tf.scalar(steps, 'int32') };
        const ms = splitFlat(m, variables);
        const vs = splitFlat(v, variables);
        entries.forEach(({ path }, i) => {
          record[`m.${path}`] = ms[i]!;
          record[`v.${path}`] = vs[i]!;
        });
        return record;
      }),
    loadState(record) {
      requireAdamWState(entries.map(({ path, tensor }) => ({ path, shape: tensor.shape })), record);
      steps = record.step!.dataSync()[0]!;
      m.dispose();
      v.dispose();
      m = joinFlat(entries.map(({ path }) => record[`m.${path}`]!));
      v = joinFlat(entries.map(({ path }) => record[`v.${path}`]!));
    },
    dispose() {
      for (const tensor of [m, v, flat, decayVector]) if (tensor && !tensor.isDisposed) tensor.dispose();
    },
  };
}

/** @throws TypeError for decay rates with which the first step would divide by 0. */
export function requireBetas(where: string, beta1: number, beta2: number): void {
  for (const [name, beta] of Object.entries({ beta1, beta2 })) {
    if (beta >= 0 && beta < 1) continue;
    throw new TypeError(`${where}: expected ${name} to be from 0 to below 1, received ${beta}.`);
  }
}

/** New first and second moments and weights, from weights, gradients, moments and decays, all `[N]`. */
function adamWByVectors(
  p: tf.Tensor1D,
  g: tf.Tensor1D,
  m: tf.Tensor1D,
  v: tf.Tensor1D,
  decay: tf.Tensor1D,
  { beta1, beta2, eps, rate, step }: AdamWSettings,
): [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D] {
  const m1 = tf.add(tf.mul(m, beta1), tf.mul(g, 1 - beta1)) as tf.Tensor1D;
  const v1 = tf.add(tf.mul(v, beta2), tf.mul(tf.mul(g, g), 1 - beta2)) as tf.Tensor1D;
  const size1 = rate / (1 - beta1 ** step);
  const root = tf.add(tf.mul(tf.sqrt(v1), 1 / Math.sqrt(1 - beta2 ** step)), eps);
  const decayed = tf.sub(p, tf.mul(tf.mul(p, decay), rate));
  return [m1, v1, tf.sub(decayed, tf.mul(tf.div(m1, root), size1)) as tf.Tensor1D];
}

/** @throws CheckpointError or ShapeError if a saved state does not fit weights of these names and shapes. */
export function requireAdamWState(
  entries: readonly { readonly path: string; readonly shape: number[] }[],
  record: Readonly<Record<string, tf.Tensor>>,
): void {
  const names = entries.flatMap(({ path }) => [`m.${path}`, `v.${path}`]);
  const missing = ['step', ...names].filter((name) => !Object.hasOwn(record, name));
  const known = new Set(['step', ...names]);
  const unexpected = Object.keys(record).filter((name) => !known.has(name));
  if (missing.length + unexpected.length > 0) {
    throw new CheckpointError(
      `AdamW.loadState: the state does not fit the weights. Missing: [${missing.join(', ')}]; ` +
        `unexpected: [${unexpected.join(', ')}]. Was it saved with another model?`,
      { code: 'mismatch', missing, unexpected },
    );
  }
  for (const { path, shape } of entries) {
    const shapes = { [`m.${path}`]: shape, [`v.${path}`]: shape };
    expectShape('AdamW.loadState', record, shapes);
  }
}

function checkGradients(
  entries: readonly { path: string; tensor: tf.Tensor }[],
  grads: Readonly<Record<string, tf.Tensor>>,
): void {
  const known = new Set(entries.map(({ path }) => path));
  const missing = [...known].filter((path) => !Object.hasOwn(grads, path));
  const unexpected = Object.keys(grads).filter((path) => !known.has(path));
  if (missing.length + unexpected.length > 0) {
    throw new GradientError(
      `AdamW.step: expected one gradient per weight. Missing: [${missing.join(', ')}]; ` +
        `unexpected: [${unexpected.join(', ')}].`,
      [...missing, ...unexpected],
    );
  }
  for (const { path, tensor } of entries) expectShape('AdamW.step', grads, { [path]: tensor.shape });
  expectAlive('AdamW.step', grads);
}

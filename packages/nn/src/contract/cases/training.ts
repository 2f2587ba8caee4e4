import * as tf from '@tensorflow/tfjs-core';
import { type AdamW, createAdamW } from '../../adamw';
import { createEma } from '../../ema';
import { clipByGlobalNorm, firstNonFinite } from '../../gradients';
import { disposeParams, toVariables } from '../../tree';
import { contractCase, type ContractCase } from '../contract-case';
import { fixed, normal } from '../inputs';
import * as reference from '../reference';
import type { AdamWState, Numbers } from '../reference';

const SETTINGS = { learningRate: 0.05, beta1: 0.8, beta2: 0.95, eps: 1e-6, weightDecay: 0.1 };
const CLIP = 2;
const DECAY = 0.7;

export const trainingCases: readonly ContractCase[] = [
  ...[
    { name: 'clipped', maxNorm: 1.5, rows: 3 },
    { name: 'short enough', maxNorm: 100, rows: 3 },
    { name: 'a hundred thousand numbers', maxNorm: 1.5, rows: 20_001, large: true },
  ].map(({ name, maxNorm, rows, large = false }) =>
    contractCase({
      op: 'clipByGlobalNorm',
      name,
      inputs: { kernel: normal(rows, 5), bias: normal(1) },
      gradient: false,
      large,
      run(grads) {
        const { grads: clipped, norm } = clipByGlobalNorm(grads, maxNorm);
        return { ...clipped, norm };
      },
      reference({ kernel, bias }) {
        const [k, b] = reference.clipByGlobalNorm([kernel, bias], maxNorm);
        return { kernel: k, bias: b, norm: scalar(reference.globalNorm([kernel, bias])) };
      },
    }),
  ),
  contractCase({
    op: 'firstNonFinite',
    name: 'names a NaN, both infinities, and no large number',
    inputs: {
      a: fixed([1, -3e38, 3e38], 3),
      b: fixed([NaN, 1, 1], 3),
      c: fixed([1, Infinity, 1], 3),
      d: fixed([1, 1, -Infinity], 3),
    },
    gradient: false,
    async run({ a, b, c, d }) {
      const paths = [
        await firstNonFinite({ a, b }),
        await firstNonFinite({ a, c }),
        await firstNonFinite({ a, d }),
        await firstNonFinite({ a }),
      ];
      return tf.tensor1d(paths.map((path) => ['b', 'c', 'd', undefined].indexOf(path)));
    },
    reference: () => ({ shape: [4], data: Float64Array.of(0, 1, 2, 3) }),
  }),
  ...[
    { name: 'three steps, the last clipped', kernel: [3, 5], bias: 1 },
    { name: '131 and 70 numbers', kernel: [131, 1], bias: 70 },
    { name: 'a hundred thousand numbers', kernel: [301, 333], bias: 70, large: true },
  ].map(({ name, kernel: [rows, columns], bias: size, large = false }) =>
    contractCase({
      op: 'createAdamW',
      name,
      inputs: {
        kernel: normal(rows, columns),
        bias: normal(size),
        kernelGrads: normal(3, rows, columns),
        biasGrads: normal(3, size),
      },
      gradient: false,
      large,
      disposable: [],
      run: ({ kernel, bias, kernelGrads, biasGrads }) =>
        trained({ kernel, bias }, (optimizer) => {
          const [first, second, third] = gradients(kernelGrads, biasGrads);
          optimizer.step(first);
          optimizer.step(second, { learningRate: 0.01 });
          return { norm: optimizer.clippedStep(third, CLIP) };
        }),
      reference({ kernel, bias, kernelGrads, biasGrads }) {
        const last = [row(kernelGrads, 2), row(biasGrads, 2)];
        const [kernelClipped, biasClipped] = reference.clipByGlobalNorm(last, CLIP);
        const rates = [SETTINGS.learningRate, 0.01, SETTINGS.learningRate];
        return {
          ...states(
            steps(kernel, [row(kernelGrads, 0), row(kernelGrads, 1), kernelClipped], rates),
            steps(bias, [row(biasGrads, 0), row(biasGrads, 1), biasClipped], rates, 0),
          ),
          norm: scalar(reference.globalNorm(last)),
        };
      },
    }),
  ),
  contractCase({
    op: 'createAdamW',
    name: 'a refused step changes nothing',
    inputs: { kernel: normal(3, 5), bias: normal(4), kernelGrads: normal(1, 3, 5), biasGrads: normal(1, 4) },
    gradient: false,
    disposable: [],
    run: ({ kernel, bias, kernelGrads, biasGrads }) =>
      trained({ kernel, bias }, (optimizer) => {
        const [grads] = gradients(kernelGrads, biasGrads);
        const gone = tf.tidy(() => tf.zeros([4]));
        gone.dispose();
        refuses('a misshapen gradient', () => optimizer.step({ ...grads, bias: tf.zeros([5]) }));
        refuses('a disposed gradient', () => optimizer.step({ ...grads, bias: gone }));
        refuses('a missing gradient', () => optimizer.step({ kernel: grads.kernel }));
        optimizer.step(grads);
        return {};
      }),
    reference: ({ kernel, bias, kernelGrads, biasGrads }) =>
      states(
        steps(kernel, [row(kernelGrads, 0)], [SETTINGS.learningRate]),
        steps(bias, [row(biasGrads, 0)], [SETTINGS.learningRate], 0),
      ),
  }),
  ...[
    { name: 'two updates', warmup: false, rows: 3 },
    { name: 'two updates with warm-up', warmup: true, rows: 3 },
    { name: 'a hundred thousand numbers', warmup: false, rows: 20_001, large: true },
  ].map(({ name, warmup, rows, large = false }) =>
    contractCase({
      op: 'createEma',
      name,
      inputs: { kernel: normal(rows, 5), bias: normal(7), kernelSteps: normal(2, rows, 5), biasSteps: normal(2, 7) },
      gradient: false,
      large,
      disposable: [],
      run: ({ kernel, bias, kernelSteps, biasSteps }) =>
        tf.tidy(() => {
          const ema = createEma<Weights<tf.Tensor>>({ kernel, bias }, { decay: DECAY, warmup });
          for (const params of gradients(kernelSteps, biasSteps)) ema.update(params);
          const { kernel: k, bias: b } = ema.params;
          const copy = { kernel: tf.clone(k), bias: tf.clone(b) };
          ema.dispose();
          return copy;
        }),
      reference: ({ kernel, bias, kernelSteps, biasSteps }) => ({
        kernel: average(kernel, kernelSteps, warmup),
        bias: average(bias, biasSteps, warmup),
      }),
    }),
  ),
];

type Weights<T> = { readonly kernel: T; readonly bias: T };

/** What `work` returns, and the weights and moments after it. The bias does not decay. */
function trained(
  params: Weights<tf.Tensor>,
  work: (optimizer: AdamW) => Readonly<Record<string, tf.Tensor>>,
): Record<string, tf.Tensor> {
  return tf.tidy(() => {
    const variables = toVariables(params);
    const optimizer = createAdamW(variables, { ...SETTINGS, decayFilter: (path) => path !== 'bias' });
    try {
      const results = work(optimizer);
      const { kernel, bias } = variables;
      const { step: _, ...moments } = optimizer.state();
      return { ...results, kernel: tf.clone(kernel), bias: tf.clone(bias), ...moments };
    } finally {
      optimizer.dispose();
      disposeParams(variables);
    }
  });
}

function refuses(what: string, work: () => void): void {
  try {
    work();
  } catch {
    return;
  }
  throw new Error(`expected ${what} to be refused, but it was taken`);
}

/** Row i of each of the stacks. */
function gradients<R extends tf.Rank, Q extends tf.Rank>(
  kernels: tf.Tensor<R>,
  biases: tf.Tensor<Q>,
): Weights<tf.Tensor>[] {
  const biasRows = tf.unstack(biases);
  return tf.unstack(kernels).map((kernel, i) => ({ kernel, bias: biasRows[i] }));
}

function row({ shape, data }: Numbers, index: number): Numbers {
  const size = data.length / shape[0];
  return { shape: shape.slice(1), data: data.slice(index * size, (index + 1) * size) };
}

function steps(
  param: Numbers,
  grads: readonly Numbers[],
  rates: readonly number[],
  weightDecay = SETTINGS.weightDecay,
): AdamWState {
  const none = reference.zeros(...param.shape);
  return grads.reduce<AdamWState>(
    (state, grad, i) => reference.adamWStep(state, grad, i + 1, { ...SETTINGS, learningRate: rates[i], weightDecay }),
    { param, m: none, v: none },
  );
}

function states(kernel: AdamWState, bias: AdamWState): Record<string, Numbers> {
  return {
    kernel: kernel.param,
    bias: bias.param,
    'm.kernel': kernel.m,
    'm.bias': bias.m,
    'v.kernel': kernel.v,
    'v.bias': bias.v,
  };
}

function average(start: Numbers, params: Numbers, warmup: boolean): Numbers {
  let result = start;
  for (let n = 0; n < params.shape[0]; n++) {
    result = reference.emaStep(result, row(params, n), warmup ? Math.min(DECAY, (1 + n) / (10 + n)) : DECAY);
  }
  return result;
}

function scalar(value: number): Numbers {
  return { shape: [], data: Float64Array.of(value) };
}

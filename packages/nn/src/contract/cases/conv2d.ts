import type * as tf from '@tensorflow/tfjs-core';
import { conv2d, type Conv2dOptions } from '../../conv2d';
import { contractCase, type ContractCase } from '../contract-case';
import { normal, type Input } from '../inputs';
import * as reference from '../reference';

/** The paddings of the published network: 1 on all sides, and before a stride of 2 only below and to the right. */
const SYMMETRIC = { top: 1, bottom: 1, left: 1, right: 1 };
const ASYMMETRIC = { top: 0, bottom: 1, left: 0, right: 1 };

type Sizes = {
  /** `[B, H, W, C]`. */
  readonly x: readonly [number, number, number, number];
  /** `[kh, kw, C, K]`. */
  readonly weight: readonly [number, number, number, number];
};

export const conv2dCases: readonly ContractCase[] = [
  convolution('1x1', { x: [2, 3, 5, 6], weight: [1, 1, 6, 5] }, {}),
  convolution('1x1, stride 2', { x: [1, 5, 4, 3], weight: [1, 1, 3, 4] }, { stride: 2 }),
  convolution('3x3, odd sizes and channels', { x: [2, 5, 7, 3], weight: [3, 3, 3, 5] }, {}),
  convolution('3x3, channels in fours', { x: [2, 5, 6, 8], weight: [3, 3, 8, 12] }, {}),
  convolution('3x3, padding 1', { x: [1, 6, 5, 4], weight: [3, 3, 4, 4] }, { padding: SYMMETRIC }),
  convolution('3x3, valid', { x: [1, 6, 5, 4], weight: [3, 3, 4, 8] }, { padding: 'valid' }),
  convolution('3x3, stride 2, padding 1', { x: [2, 7, 6, 4], weight: [3, 3, 4, 8] }, { stride: 2, padding: SYMMETRIC }),
  convolution(
    '3x3, stride 2, padding 0 1 0 1, even',
    { x: [2, 6, 8, 4], weight: [3, 3, 4, 4] },
    { stride: 2, padding: ASYMMETRIC },
  ),
  convolution(
    '3x3, stride 2, padding 0 1 0 1, odd',
    { x: [1, 5, 7, 3], weight: [3, 3, 3, 5] },
    { stride: 2, padding: ASYMMETRIC },
  ),
  convolution('3x3, stride 2, same', { x: [1, 6, 7, 5], weight: [3, 3, 5, 2] }, { stride: 2 }),
  convolution(
    '3x3, stride 2, valid, a row unseen',
    { x: [1, 6, 6, 4], weight: [3, 3, 4, 4] },
    { stride: 2, padding: 'valid' },
  ),
  convolution('3x3 on one pixel', { x: [3, 1, 1, 4], weight: [3, 3, 4, 4] }, {}),
  convolution(
    '3x3, wide padding',
    { x: [1, 3, 4, 4], weight: [3, 3, 4, 4] },
    { padding: { top: 3, bottom: 0, left: 4, right: 3 } },
  ),
  convolution('2x2, same', { x: [1, 4, 5, 3], weight: [2, 2, 3, 4] }, {}),
  convolution('1x3', { x: [1, 4, 5, 4], weight: [1, 3, 4, 4] }, {}),
  convolution('4x4, padding 1', { x: [1, 5, 6, 4], weight: [4, 4, 4, 3] }, { padding: SYMMETRIC }),
  convolution('4x4, stride 2, padding 1', { x: [2, 8, 7, 3], weight: [4, 4, 3, 8] }, { stride: 2, padding: SYMMETRIC }),
  convolution('5x5, stride 3', { x: [1, 8, 7, 2], weight: [5, 5, 2, 3] }, { stride: 3 }),
  frozen('1x1', { x: [2, 3, 5, 6], weight: [1, 1, 6, 5] }, {}),
  frozen('3x3', { x: [2, 5, 6, 4], weight: [3, 3, 4, 8] }, {}),
  frozen('3x3, stride 2, padding 1', { x: [2, 7, 6, 3], weight: [3, 3, 3, 5] }, { stride: 2, padding: SYMMETRIC }),
  contractCase({
    op: 'conv2d',
    name: '3x3, no bias',
    inputs: { x: normal(1, 4, 5, 4), weight: normal(3, 3, 4, 8) },
    run: ({ x, weight }) => conv2d({ weight }, x),
    reference: ({ x, weight }) => reference.conv2d(x, weight, undefined),
  }),
  { ...convolution('3x3, 189 tiles', { x: [3, 17, 13, 8], weight: [3, 3, 8, 12] }, {}), large: true },
  { ...convolution('3x3, 68 to 36 channels', { x: [1, 6, 5, 68], weight: [3, 3, 68, 36] }, {}), large: true },
  {
    ...convolution('3x3, 6 tiles, 20 to 132 channels', { x: [1, 5, 3, 20], weight: [3, 3, 20, 132] }, {}),
    large: true,
  },
  {
    ...convolution(
      '3x3, stride 2, 270 pixels',
      { x: [2, 30, 18, 12], weight: [3, 3, 12, 14] },
      { stride: 2, padding: SYMMETRIC },
    ),
    large: true,
  },
];

function convolution(name: string, { x, weight }: Sizes, options: Conv2dOptions): ContractCase {
  const [B, H, W, C] = x;
  return contractCase({
    op: 'conv2d',
    name,
    inputs: { x: normal(...x), weight: normal(...weight), bias: normal(weight[3]) },
    run: ({ x, ...params }) => conv2d(params, x as tf.Tensor4D, options),
    reference: ({ x, weight, bias }) => reference.conv2d(x, weight, bias, options),
    misshapen: [{ x: [B, H, W, C + 1] }, { x: [B, H, W * C] }],
  });
}

/** With weights that are not trained: the gradient is x's alone. */
function frozen(name: string, { x, weight }: Sizes, options: Conv2dOptions): ContractCase {
  const still = <S extends readonly number[]>(input: Input<S>): Input<S> => ({ ...input, differentiable: false });
  return contractCase({
    op: 'conv2d',
    name: `${name}, frozen`,
    inputs: { x: normal(...x), weight: still(normal(...weight)), bias: still(normal(weight[3])) },
    run: ({ x, ...params }) => conv2d(params, x as tf.Tensor4D, { ...options, frozen: true }),
    reference: ({ x, weight, bias }) => reference.conv2d(x, weight, bias, options),
  });
}

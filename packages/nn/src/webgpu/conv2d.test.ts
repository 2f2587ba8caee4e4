import type * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, setupBackend } from '@sgdiff/test-kit';
import { contractCase, type ContractCase, normal, runContract } from '../contract';
import * as reference from '../contract/reference';
import { conv2d, type Conv2dOptions } from '../index';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`conv2d on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  // Tiles are of 64 pixels, weights or channels; sums of 1024 and more products are shared.
  it.each([
    convolution('several tiles of channels', [1, 3, 4, 70], [2, 3, 70, 66], {}),
    convolution('shared sums, channels in fours', [2, 24, 23, 4], [3, 3, 4, 68], {}),
    convolution('shared sums over input channels', [1, 3, 2, 130], [3, 3, 130, 4], {}),
    convolution('shared sums over output channels', [1, 2, 2, 3], [3, 3, 3, 131], {}),
    convolution('a stride that leaves pixels without a tap', [2, 9, 8, 5], [2, 1, 5, 4], { stride: 3, padding: 'valid' }),
    convolution('a stride of 2, an asymmetric padding', [1, 9, 10, 4], [3, 3, 4, 3], { stride: 2, padding: ASYMMETRIC }),
  ])('keeps its contract: $name', async (test) => {
    const { failures } = await runContract({ cases: [test] });
    expect(failures).toEqual([]);
  });
});

const ASYMMETRIC = { top: 2, bottom: 1, left: 0, right: 1 };

type Four = readonly [number, number, number, number];

function convolution(name: string, x: Four, weight: Four, options: Conv2dOptions): ContractCase {
  return contractCase({
    op: 'conv2d',
    name,
    inputs: { x: normal(...x), weight: normal(...weight), bias: normal(weight[3]) },
    run: ({ x, ...params }) => conv2d(params, x as tf.Tensor4D, options),
    reference: ({ x, weight, bias }) => reference.conv2d(x, weight, bias, options),
  });
}

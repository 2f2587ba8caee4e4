import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, setupBackend } from '@sgdiff/test-kit';
import { contractCase, type ContractCase, normal, normalAround, runContract } from '../contract';
import * as reference from '../contract/reference';
import { groupNorm, groupNormSilu } from '../index';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`group normalisation on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  // Statistics are taken of shares of 16,384 numbers, sums of gradients of shares of 64 positions and 32 channels.
  it.each([
    normalization('groups of several shares', [1, 75, 75, 12], 2, 0),
    normalization('groups of 3 of 33 channels', [2, 9, 8, 33], 11, 0),
    normalization('far from zero', [1, 70, 80, 4], 1, 50),
    normalization('no positions between', [3, 36], 9, 0),
  ])('keeps its contract: $name', async (test) => {
    const { failures } = await runContract({ cases: [test] });
    expect(failures).toEqual([]);
  });
});

function normalization(name: string, shape: readonly number[], groups: number, mean: number): ContractCase {
  const C = shape[shape.length - 1]!;
  const eps = 1e-5;
  return contractCase({
    op: 'groupNorm',
    name,
    inputs: { x: normalAround(mean, 1, ...shape), weight: normal(C), bias: normal(C) },
    run: ({ x, ...params }) => ({ plain: groupNorm(params, x, { groups, eps }), silu: groupNormSilu(params, x, { groups, eps }) }),
    reference: ({ x, weight, bias }) => ({
      plain: reference.groupNorm(x, weight, bias, groups, eps),
      silu: reference.groupNormSilu(x, weight, bias, groups, eps),
    }),
    tolerance: mean === 0 ? {} : { value: 1e-4, gradient: 1e-4 }, // x itself is rounded by 4e-6 there
  });
}

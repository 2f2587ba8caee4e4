import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, setupBackend } from '@sgdiff/test-kit';
import { contractCase, type ContractCase, normal, runContract } from '../contract';
import * as reference from '../contract/reference';
import { layerNorm } from '../index';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`layer normalisation on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  // A workgroup of 64 threads has a row, and sums of gradients are shared from 512 rows on.
  const cases = [normalization('many rows', [9, 60, 5]), normalization('a wide row', [2, 131])];
  it.each(cases)('keeps its contract: $name', async (test) => {
    const { failures } = await runContract({ cases: [test] });
    expect(failures).toEqual([]);
  });
});

function normalization(name: string, shape: readonly number[]): ContractCase {
  const D = shape[shape.length - 1]!;
  const eps = 1e-5;
  return contractCase({
    op: 'layerNorm',
    name,
    inputs: { x: normal(...shape), weight: normal(D), bias: normal(D) },
    run: ({ x, ...params }) => layerNorm(params, x, { eps }),
    reference: ({ x, weight, bias }) => reference.layerNorm(x, weight, bias, eps),
  });
}

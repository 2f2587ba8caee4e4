import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, setupBackend } from '@sgdiff/test-kit';
import { contractCase, type ContractCase, fixed, normal, runContract } from '../contract';
import * as reference from '../contract/reference';
import { createRng, scaledDotProductAttention } from '../index';
import { hasWebgpuAttention } from './attention';

const problem = await backendProblem('webgpu');

type Sizes = { readonly B: number; readonly N: number; readonly M: number; readonly D: number; readonly heads: number };

describe.skipIf(problem)(`attention on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  // Tiles are of 32 tokens, chunks of 32 channels.
  it.each([
    attend('heads of 33, which begin anywhere', { B: 1, N: 66, M: 40, D: 66, heads: 2 }, [40]),
    attend('heads of 40, the last tile masked', { B: 1, N: 3, M: 40, D: 80, heads: 2 }, [32]),
    attend('heads of 161, by the composition', { B: 1, N: 3, M: 5, D: 161, heads: 1 }, [4]),
    attend('heads of 160, an image with nothing to attend to', { B: 2, N: 4, M: 33, D: 160, heads: 1 }, [20, 0]),
  ])('keeps its contract: $name', async (test) => {
    const { failures } = await runContract({ cases: [test] });
    expect(failures).toEqual([]);
  });

  it('has programs for heads of up to 160', () => {
    expect([hasWebgpuAttention(160), hasWebgpuAttention(161)]).toEqual([true, false]);
  });

  it('stays finite for large scores', async () => {
    const q = tf.fill([1, 2, 4], 1e4) as tf.Tensor3D;
    const k = tf.tensor3d(createRng('keys').fillNormal(new Float32Array(132)), [1, 33, 4]);
    const y = scaledDotProductAttention(q, k, tf.ones([1, 33, 4]), { heads: 1 });
    expect(await y.data()).toBeAllClose(new Float32Array(8).fill(1));
    tf.dispose([q, k, y]);
  });
});

/** `open`: to how many tokens each image may attend. */
function attend(name: string, { B, N, M, D, heads }: Sizes, open: readonly number[]): ContractCase {
  const mask = open.flatMap((count) => Array.from({ length: M }, (_, m) => Number(m < count)));
  return contractCase({
    op: 'scaledDotProductAttention',
    name,
    inputs: { q: normal(B, N, D), k: normal(B, M, D), v: normal(B, M, D), mask: fixed(mask, B, M) },
    run: ({ q, k, v, mask }) => scaledDotProductAttention(q, k, v, { heads, mask }),
    reference: ({ q, k, v, mask }) => reference.scaledDotProductAttention(q, k, v, heads, mask),
  });
}

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { webgpuSplitFlat } from './split-flat';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`pieces of a vector on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  it.each([1, 7, 8, 17])('are right: %i of them', async (count) => {
    const sizes = Array.from({ length: count }, (_, i) => 1 + ((i * 37) % 90));
    const total = sizes.reduce((a, b) => a + b);
    const x = tf.range(0, total);
    const pieces = webgpuSplitFlat(x, sizes);
    let start = 0;
    for (const [i, size] of sizes.entries()) {
      expect(await pieces[i]!.data()).toEqual(Float32Array.from({ length: size }, (_, j) => start + j));
      start += size;
    }
    await expectNoLeak(() => webgpuSplitFlat(x, sizes));
    tf.dispose([x, pieces]);
  });
});

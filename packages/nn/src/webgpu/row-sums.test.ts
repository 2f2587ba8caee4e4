import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { createRng } from '../index';
import { webgpuSumRows } from './row-sums';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`sums over rows on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  it.each([
    { N: 1, O: 3 },
    { N: 11, O: 70 },
    { N: 1300, O: 33 }, // in shares
  ])('are right: $N x $O', async ({ N, O }) => {
    const values = createRng('rows', N, O).fillNormal(new Float32Array(N * O));
    const x = tf.tensor2d(values.slice(), [N, O]);
    const expected = new Float64Array(O);
    values.forEach((value, i) => (expected[i % O]! += value));
    const y = webgpuSumRows(x);
    expect(await y.data()).toBeAllClose(expected, { rtol: 0, atol: 1e-5 * Math.sqrt(N) });
    await expectNoLeak(() => webgpuSumRows(x));
    tf.dispose([x, y]);
  });
});

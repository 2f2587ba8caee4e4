import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { createRng } from '../index';
import { webgpuMultiply, webgpuMultiplyOverRows, webgpuMultiplyTransposed } from './multiply';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`products of matrices on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  const sizes = [
    { M: 70, K: 20, N: 9 },
    { M: 3, K: 301, N: 66 },
    { M: 128, K: 2048, N: 64 }, // where tfjs' own is wrong
  ];

  it.each(sizes)('a b + bias is right: $M x $K x $N', async ({ M, K, N }) => {
    const [a, b] = [matrix(M, K), matrix(K, N)];
    const bias = tf.range(0, N);
    const y = webgpuMultiply(a.tensor, b.tensor, bias);
    const expected = product(M, K, N, (i, k) => a.values[i * K + k]!, (k, j) => b.values[k * N + j]!);
    const shifted = expected.map((value, i) => value + (i % N));
    expect(await y.data()).toBeAllClose(shifted, { rtol: 0, atol: 2e-6 * K });
    await expectNoLeak(() => webgpuMultiply(a.tensor, b.tensor));
    tf.dispose([a.tensor, b.tensor, bias, y]);
  });

  it.each(sizes)('a bᵀ is right: $M x $K x $N', async ({ M, K, N }) => {
    const [a, b] = [matrix(M, K), matrix(N, K)];
    const y = webgpuMultiplyTransposed(a.tensor, b.tensor);
    const expected = product(M, K, N, (i, k) => a.values[i * K + k]!, (k, j) => b.values[j * K + k]!);
    expect(await y.data()).toBeAllClose(expected, { rtol: 0, atol: 2e-6 * K });
    await expectNoLeak(() => webgpuMultiplyTransposed(a.tensor, b.tensor));
    tf.dispose([a.tensor, b.tensor, y]);
  });

  it.each(sizes)('aᵀ b is right: $M x $K x $N', async ({ M, K, N }) => {
    const [a, b] = [matrix(K, M), matrix(K, N)];
    const y = webgpuMultiplyOverRows(a.tensor, b.tensor);
    const expected = product(M, K, N, (i, k) => a.values[k * M + i]!, (k, j) => b.values[k * N + j]!);
    expect(await y.data()).toBeAllClose(expected, { rtol: 0, atol: 2e-6 * K });
    await expectNoLeak(() => webgpuMultiplyOverRows(a.tensor, b.tensor));
    tf.dispose([a.tensor, b.tensor, y]);
  });

  it('gives the same bytes each time', async () => {
    const [a, b] = [matrix(2500, 17), matrix(2500, 12)];
    const bytes = async (): Promise<Buffer> => {
      const y = webgpuMultiplyOverRows(a.tensor, b.tensor);
      const values = await y.data();
      y.dispose();
      return Buffer.from(values.slice().buffer);
    };
    const first = await bytes();
    for (let i = 0; i < 5; i++) expect(Buffer.compare(await bytes(), first)).toBe(0);
    tf.dispose([a.tensor, b.tensor]);
  });
});

function matrix(rows: number, columns: number): { tensor: tf.Tensor2D; values: Float32Array } {
  const values = createRng('matrix', rows, columns).fillNormal(new Float32Array(rows * columns));
  return { tensor: tf.tensor2d(values.slice(), [rows, columns]), values };
}

type At = (row: number, column: number) => number;

function product(M: number, K: number, N: number, a: At, b: At): Float64Array {
  const out = new Float64Array(M * N);
  for (let i = 0; i < M; i++)
    for (let k = 0; k < K; k++) for (let j = 0; j < N; j++) out[i * N + j]! += a(i, k) * b(k, j);
  return out;
}

import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { backendProblem, setupBackend } from './backend';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`webgpu${problem ? ` (${problem})` : ''}`, () => {
  it('computes values and gradients', async () => {
    await setupBackend('webgpu');
    expect(tf.getBackend()).toBe('webgpu');
    const x = tf.tensor2d([
      [1, 2],
      [3, 4],
    ]);
    const { value, grad } = tf.valueAndGrad((a) => tf.sum(tf.matMul(a as tf.Tensor2D, a as tf.Tensor2D)))(x);
    expect([...(await value.data())]).toEqual([54]);
    expect([...(await grad.data())]).toEqual([7, 11, 9, 13]);
  });
});

it('selects wasm', async () => {
  await setupBackend('wasm');
  expect(tf.getBackend()).toBe('wasm');
});

import { setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkBackend } from './self-check';

describe('checkBackend', () => {
  beforeAll(() => setupBackend('cpu'));

  it('finds nothing wrong with a right backend, and leaves nothing behind', async () => {
    const before = tf.memory().numTensors;
    await expect(checkBackend()).resolves.toBeUndefined();
    expect(tf.memory().numTensors).toBe(before);
  });

  it('tells a backend that computes wrongly', async () => {
    const right = tf.getKernel('Conv2D', 'cpu');
    tf.unregisterKernel('Conv2D', 'cpu');
    tf.registerKernel({
      ...right,
      kernelFunc(args) {
        const result = right.kernelFunc(args) as tf.TensorInfo;
        const { data } = args.backend as { data: { get(id: object): { values: Float32Array } } };
        data.get(result.dataId).values[0]! += 1;
        return result;
      },
    });
    try {
      await expect(checkBackend()).resolves.toMatch(/^it computes \S+ where \S+ is right$/);
    } finally {
      tf.unregisterKernel('Conv2D', 'cpu');
      tf.registerKernel(right);
    }
  });
});

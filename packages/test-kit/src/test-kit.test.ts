import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkGradients, expectNoLeak, setupBackend } from './index';

beforeAll(() => setupBackend('cpu'));

describe('toBeAllClose', () => {
  it('accepts values within atol + rtol * |expected| and rejects those beyond', () => {
    expect([1, 2]).toBeAllClose([1.0001, 2], { rtol: 1e-3, atol: 0 });
    expect([1, 2]).not.toBeAllClose([1.01, 2], { rtol: 1e-3, atol: 0 });
  });

  it('does not take NaN for infinity, nor for a number', () => {
    expect([NaN, Infinity]).toBeAllClose([NaN, Infinity]);
    expect([NaN]).not.toBeAllClose([Infinity]);
    expect([NaN]).not.toBeAllClose([0]);
    expect([Infinity]).not.toBeAllClose([-Infinity]);
    expect([1]).not.toBeAllClose([Infinity]);
  });

  it('compares the shapes of tensors and nested arrays', () => {
    tf.tidy(() => {
      expect(tf.ones([2, 3])).toBeAllClose(tf.ones([2, 3]));
      expect(tf.ones([2, 3])).not.toBeAllClose(tf.ones([3, 2]));
      expect(tf.ones([1, 2])).toBeAllClose([[1, 1]]);
    });
  });
});

describe('expectNoLeak', () => {
  it('disposes what is returned and passes', () => expectNoLeak(() => ({ a: [tf.ones([2])] })));

  it('rejects when a tensor is left behind, also on the throwing path', async () => {
    let left: tf.Tensor | undefined;
    await expect(
      expectNoLeak(() => {
        left = tf.ones([2]);
      }),
    ).rejects.toThrow('expectNoLeak: expected');
    left?.dispose();
    await expect(
      expectNoLeak(() => {
        left = tf.ones([2]);
        throw new Error('on purpose');
      }),
    ).rejects.toThrow('threw "on purpose"');
    left?.dispose();
  });
});

describe('checkGradients', () => {
  it('accepts a right gradient and rejects a wrong one', async () => {
    const x = tf.tensor1d([0.5, -1, 2]);
    await expectNoLeak(() => checkGradients((a) => tf.square(a!), [x]));
    const wrong = tf.customGrad((a) => ({ value: tf.square(a as tf.Tensor), gradFunc: (dy: tf.Tensor) => dy }));
    await expect(checkGradients((a) => wrong(a!), [x])).rejects.toThrow('checkGradients: input 0');
    x.dispose();
  });
});

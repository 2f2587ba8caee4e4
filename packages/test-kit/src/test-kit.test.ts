import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
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

  it('passes when the function returns an assertion that holds', async () => {
    await expectNoLeak(() => expect(1).toBe(1));
    await expectNoLeak(() => expect(Promise.reject(new Error('on purpose'))).rejects.toThrow('on purpose'));
  });

  describe('a tensor left behind', () => {
    let left: tf.Tensor | undefined;
    const leak = (): void => {
      left = tf.ones([2]);
    };
    const leakAndThrow = (): never => {
      leak();
      throw new Error('on purpose');
    };
    afterEach(() => left?.dispose());

    it('is reported with both counts', async () => {
      const count = tf.memory().numTensors;
      await expect(expectNoLeak(leak)).rejects.toThrow(
        `expectNoLeak: expected ${count} tensors after the function returned, received ${count + 1}.`,
      );
    });

    it.each([undefined, 'on purpose', 'another error'])(
      'is reported on the throwing path (throws: %s)',
      async (throws) => {
        const count = tf.memory().numTensors;
        await expect(expectNoLeak(leakAndThrow, throws === undefined ? {} : { throws })).rejects.toMatchObject({
          message: `expectNoLeak: expected ${count} tensors after the function threw "on purpose", received ${count + 1}.`,
          cause: new Error('on purpose'),
        });
      },
    );
  });

  it('is reported when a tensor of the caller is taken away', async () => {
    const x = tf.ones([2]);
    await expect(expectNoLeak(() => x)).rejects.toThrow('expectNoLeak: expected');
  });

  it('throws on what the function throws: a failed expect, any error, a rejection, a bare value', async () => {
    await expect(expectNoLeak(() => expect(1).toBe(2))).rejects.toThrow('expected 1 to be 2');
    await expect(expectNoLeak(() => expect(Promise.resolve(1)).resolves.toBe(2))).rejects.toThrow('expected 1 to be 2');
    const error = new TypeError('on purpose');
    await expect(expectNoLeak(failing(error))).rejects.toBe(error);
    await expect(expectNoLeak(() => Promise.reject(error))).rejects.toBe(error);
    await expect(expectNoLeak(failing(undefined))).rejects.toBeUndefined();
  });

  it('passes with `throws` if the function ends in that error', async () => {
    const fail = failing(new Error('boats: 3 too many'));
    await expectNoLeak(fail, { throws: 'boats: 3' });
    await expectNoLeak(() => Promise.reject(new Error('boats: 3 too many')), { throws: /^boats: \d too many$/ });
    const global = /\d/g;
    for (let i = 0; i < 2; i++) await expectNoLeak(fail, { throws: global }); // keeps no position between calls
  });

  it('rejects with `throws` if the function returns or throws another error', async () => {
    await expect(expectNoLeak(() => tf.ones([2]), { throws: 'no boats' })).rejects.toThrow(
      new Error('expectNoLeak: expected the function to throw "no boats", but it returned.'),
    );
    await expect(expectNoLeak(() => tf.ones([2]), { throws: '' })).rejects.toThrow('but it returned.');
    const other = new Error('no sheep');
    await expect(expectNoLeak(failing(other), { throws: /boats/ })).rejects.toMatchObject({
      message: 'expectNoLeak: expected the function to throw /boats/, but it threw "no sheep".',
      cause: other,
    });
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

function failing(error: unknown): () => never {
  return () => {
    throw error;
  };
}

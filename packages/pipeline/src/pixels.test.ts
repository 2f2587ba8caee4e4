import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { readPixels, toRgba } from './pixels';

beforeAll(() => setupBackend('cpu'));

describe('readPixels', () => {
  it('maps -1 to 0 and 1 to 255, rounds, cuts what is outside, and keeps the pictures of a batch apart', async () => {
    await expectNoLeak(async () => {
      const pixels = await readPixels(() => tf.tensor4d([-1, 0, 1, -3, 0.5, 3], [2, 1, 1, 3]));
      expect(pixels).toEqual([Uint8Array.of(0, 128, 255), Uint8Array.of(0, 191, 255)]);
    });
  });

  it.each([NaN, Infinity])('refuses a picture with %s, which would come out black or white', async (value) => {
    await expectNoLeak(() =>
      expect(readPixels(() => tf.tensor4d([value, 0, 0], [1, 1, 1, 3]))).rejects.toMatchObject({
        name: 'ModelError',
        code: 'not_finite',
        message: 'decode: expected a picture of finite numbers, received NaN or infinity. Are the weights damaged?',
      }),
    );
  });
});

describe('toRgba', () => {
  it('puts an alpha of 255 after each pixel', () => {
    expect(toRgba(Uint8Array.of(1, 2, 3, 4, 5, 6))).toEqual(Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255));
  });
});

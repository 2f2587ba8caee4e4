import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { patchify } from './index';

describe('patchify', () => {
  beforeAll(() => setupBackend('cpu'));

  it('cuts an image into patches in reading order, rows inside a patch likewise, channels last', () => {
    // 4x6 pixels, 2 channels: pixel (y, x) holds 10 y + x and 100 more.
    tf.tidy(() => {
      const pixels = Array.from({ length: 24 }, (_, i) => 10 * Math.floor(i / 6) + (i % 6));
      const image = tf.tensor4d(pixels.flatMap((p) => [p, p + 100]), [1, 4, 6, 2]); // prettier-ignore
      const patches = patchify(image, 2, 3);
      expect(patches.shape).toEqual([1, 6, 8]);
      expect(tf.slice(patches, [0, 0, 0], [1, 1, 8])).toBeAllClose([[[0, 100, 1, 101, 10, 110, 11, 111]]]);
      expect(tf.slice(patches, [0, 5, 0], [1, 1, 8])).toBeAllClose([[[24, 124, 25, 125, 34, 134, 35, 135]]]);
    });
  });

  it('leaves no tensor behind', async () => {
    const image = tf.ones<tf.Rank.R4>([1, 4, 4, 3]);
    await expectNoLeak(() => patchify(image, 2, 2));
    image.dispose();
  });
});

import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { resizeImages } from './index';

describe.each(['cpu', 'wasm'] as const)('resizeImages on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('doubles with half-pixel centres, as torch.nn.functional.interpolate(bilinear, align_corners=False)', () => {
    tf.tidy(() => {
      const row = resizeImages(tf.tensor4d([0, 4, 0, 4], [1, 2, 2, 1]), 4);
      expect(row).toBeAllClose([0, 1, 3, 4, 0, 1, 3, 4, 0, 1, 3, 4, 0, 1, 3, 4]);
    });
  });

  it('keeps a ramp over the whole image where it was, so that boxes stay right', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 2, max: 20 }), (from, to) =>
        tf.tidy(() => {
          const place = (size: number): number[] => Array.from({ length: size }, (_, i) => (i + 0.5) / size);
          const ramp = tf.tensor4d(
            place(from).flatMap((x) => Array<number>(3).fill(x)),
            [1, 1, from, 3],
          );
          const values = tf.slice(resizeImages(ramp, to), [0, 0, 0, 0], [1, 1, to, 1]).dataSync();
          const [first, last] = [0.5 / from, 1 - 0.5 / from]; // beyond the outermost centres the edge repeats
          place(to).forEach((x, i) => expect(values[i]).toBeCloseTo(Math.min(last, Math.max(first, x)), 5));
        }),
      ),
    );
  });

  it('hands back a copy where the size is right, and leaves no tensor behind', async () => {
    const images = tf.randomUniform<tf.Rank.R4>([1, 4, 4, 3], -1, 1, 'float32', 1);
    const same = resizeImages(images, 4);
    expect(same).toBeAllClose(images, { rtol: 0, atol: 0 });
    same.dispose();
    expect(images.isDisposed).toBe(false);
    await expectNoLeak(() => resizeImages(images, 7));
    const flat = tf.zeros([4, 4, 3]) as unknown as tf.Tensor4D;
    await expectNoLeak(() => resizeImages(flat, 7), {
      throws: 'resizeImages: expected images of shape [B, H, W, C], received [4, 4, 3].',
    });
    tf.dispose([images, flat]);
  });
});

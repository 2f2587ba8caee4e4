import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { countParams, createRng, disposeParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import {
  initSmallImageEncoder,
  pictureBookImageEncoderConfig,
  smallImageEncoder,
  type SmallImageEncoderConfig,
} from './index';

const tiny: SmallImageEncoderConfig = {
  imageSize: 16,
  stemWidth: 4,
  stemBlocks: 1,
  width: 4,
  blocks: 1,
  narrowWidth: 2,
  hiddenWidth: 6,
  globalWidth: 3,
  groups: 2,
};

function randomImages(batch: number, seed = 1): tf.Tensor4D {
  const pixels = createRng(seed).fillUniform(new Float32Array(batch * 16 * 16 * 3)).map((x) => 2 * x - 1); // prettier-ignore
  return tf.tensor4d(pixels, [batch, 16, 16, 3]);
}

describe.each(['cpu', 'wasm'] as const)('smallImageEncoder on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('gives every weight a gradient', async () => {
    const start = initSmallImageEncoder(tiny, createRng(1));
    const params = toVariables(start);
    const images = randomImages(2);
    const { value, grads } = valueAndGrads(() => {
      const { global } = smallImageEncoder(params, tiny, images);
      return tf.sum(tf.mul(global, tf.tensor2d([1, -2, 3, 2, 1, -1], [2, 3]))) as tf.Scalar;
    }, params);
    for (const [path, grad] of Object.entries(grads)) {
      const largest = Math.max(...(await grad.data()).map(Math.abs));
      expect(Number.isFinite(largest) && largest > 1e-7, path).toBe(true);
    }
    tf.dispose([value, images, ...Object.values(grads)]);
    disposeParams(params);
    disposeParams(start);
  });
});

describe('smallImageEncoder', () => {
  beforeAll(() => setupBackend('cpu'));

  it('confirms its gradient by finite differences, through convolutions, pooling and maximum', async () => {
    const params = initSmallImageEncoder(tiny, createRng(2));
    const images = randomImages(1);
    await checkGradients(
      (down) => {
        const y = smallImageEncoder({ ...params, down: { ...params.down, weight: down as tf.Tensor2D } }, tiny, images);
        return tf.concat([tf.reshape(y.local, [-1]), tf.reshape(y.global, [-1])]);
      },
      [params.down.weight],
      { eps: 3e-3, rtol: 3e-2, atol: 5e-3 }, // small step: the maximum has kinks
    );
    images.dispose();
    disposeParams(params);
  });

  it('encodes each image as if it were alone', () => {
    tf.tidy(() => {
      const params = initSmallImageEncoder(tiny, createRng(3));
      const images = randomImages(3);
      const together = smallImageEncoder(params, tiny, images);
      const alone = smallImageEncoder(params, tiny, tf.slice(images, [1, 0, 0, 0], [1, 16, 16, 3]));
      const tolerance = { rtol: 1e-5, atol: 1e-6 };
      expect(tf.slice(together.local, [1, 0, 0], [1, 4, 4])).toBeAllClose(alone.local, tolerance);
      expect(tf.slice(together.global, [1, 0], [1, 3])).toBeAllClose(alone.global, tolerance);
    });
  });

  it('tells an image from its mirror image', async () => {
    const params = initSmallImageEncoder(tiny, createRng(4));
    const [a, b] = tf.tidy(() => {
      const image = randomImages(1);
      return [image, tf.reverse(image, 2)].map((x) => smallImageEncoder(params, tiny, x).global) as [
        tf.Tensor2D,
        tf.Tensor2D,
      ];
    });
    const [x, y] = [await a.data(), await b.data()];
    expect(Math.hypot(...x.map((value, i) => value - y[i]!))).toBeGreaterThan(1e-3);
    tf.dispose([a, b]);
    disposeParams(params);
  });

  it('has 557,520 weights in the picture-book size', () => {
    const params = initSmallImageEncoder(pictureBookImageEncoderConfig(), createRng(1));
    expect(countParams(params)).toBe(557_520);
    disposeParams(params);
  });

  it('leaves no tensor behind, on success and on failure', async () => {
    const params = initSmallImageEncoder(tiny, createRng(1));
    const images = randomImages(2);
    const wrong = tf.zeros<tf.Rank.R4>([1, 8, 8, 3]);
    await expectNoLeak(() => smallImageEncoder(params, tiny, images));
    await expectNoLeak(() => smallImageEncoder(params, tiny, wrong), {
      throws: 'smallImageEncoder: expected images of shape [1, 16, 16, 3], received [1, 8, 8, 3].',
    });
    tf.dispose([images, wrong]);
    disposeParams(params);
  });

  it('refuses sizes that do not divide', () => {
    expect(() => initSmallImageEncoder({ ...tiny, imageSize: 20 }, createRng(1))).toThrow(
      'initSmallImageEncoder: expected config.imageSize to be a multiple of 8, received 20.',
    );
    expect(() => initSmallImageEncoder({ ...tiny, width: 5 }, createRng(1))).toThrow(
      'initSmallImageEncoder: expected config.width to be a multiple of config.groups 2, received 5.',
    );
  });
});

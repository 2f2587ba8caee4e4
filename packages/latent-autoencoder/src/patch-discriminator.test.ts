import * as tf from '@tensorflow/tfjs-core';
import { countParams, createRng, disposeParams, flattenParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  initPatchDiscriminator,
  initRunningStatistics,
  patchDiscriminator,
  publishedPatchDiscriminatorConfig,
  type PatchDiscriminatorConfig,
} from './patch-discriminator';

const config: PatchDiscriminatorConfig = { imageChannels: 3, channels: 4, layers: 2 };

beforeAll(() => setupBackend('wasm'));

function images(seed: unknown, shape: [number, number, number, number] = [2, 16, 16, 3]): tf.Tensor4D {
  return tf.tensor4d(createRng(String(seed)).fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape);
}

describe('initPatchDiscriminator', () => {
  it('makes the published discriminator: 663,361 weights, with bias in the first and last convolution alone', () => {
    const params = initPatchDiscriminator(publishedPatchDiscriminatorConfig, createRng(1));
    expect(countParams(params)).toBe(663_361);
    expect(flattenParams(params).map(({ path, tensor }) => [path, tensor.shape.join()])).toEqual([
      ['convIn.weight', '4,4,3,64'],
      ['convIn.bias', '64'],
      ['blocks.0.conv.weight', '4,4,64,128'],
      ['blocks.0.norm.weight', '128'],
      ['blocks.0.norm.bias', '128'],
      ['blocks.1.conv.weight', '4,4,128,256'],
      ['blocks.1.norm.weight', '256'],
      ['blocks.1.norm.bias', '256'],
      ['convOut.weight', '4,4,256,1'],
      ['convOut.bias', '1'],
    ]);
    disposeParams(params);
  });

  it('draws weights with deviation 0.02, around 1 in the normalisations, and widens eightfold at most', () => {
    const params = initPatchDiscriminator({ imageChannels: 3, channels: 2, layers: 6 }, createRng(1));
    expect(params.blocks.map(({ norm }) => norm.weight.shape[0])).toEqual([4, 8, 16, 16, 16, 16]);
    const { mean, variance } = tf.moments(params.blocks[5]!.conv.weight);
    expect(mean.dataSync()[0]).toBeCloseTo(0, 2);
    expect(Math.sqrt(variance.dataSync()[0]!)).toBeCloseTo(0.02, 3);
    expect(tf.mean(params.blocks[5]!.norm.weight).dataSync()[0]).toBeCloseTo(1, 1);
    disposeParams(params);
  });

  it('leaves nothing behind and refuses sizes that are no model', async () => {
    await expectNoLeak(() => initPatchDiscriminator(config, createRng(1)));
    await expectNoLeak(() => initRunningStatistics(config));
    await expectNoLeak(() => initPatchDiscriminator({ ...config, layers: 0 }, createRng(1)), {
      throws: 'PatchDiscriminatorConfig: expected layers to be a whole number above 0, received 0.',
    });
  });
});

describe('patchDiscriminator', () => {
  it('gives a logit per patch for any size that leaves one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 13 }), fc.integer({ min: 0, max: 13 }), (layers, more, wider) => {
        const params = initPatchDiscriminator({ imageChannels: 2, channels: 2, layers }, createRng(1));
        const running = initRunningStatistics({ imageChannels: 2, channels: 2, layers });
        const [H, W] = [3 * 2 ** layers + more, 3 * 2 ** layers + wider];
        const side = (size: number): number => Math.floor(size / 2 ** layers) - 2;
        const { logits } = patchDiscriminator(params, running, images(1, [1, H, W, 2]), { training: false });
        expect(logits.shape).toEqual([1, side(H), side(W), 1]);
      }),
      { numRuns: 15 },
    );
  });

  it('judges each image by itself outside training, and does not change what it has seen', () => {
    const params = initPatchDiscriminator(config, createRng(1));
    const fresh = initRunningStatistics(config);
    const x = images('x', [3, 16, 16, 3]);
    const { running } = patchDiscriminator(params, fresh, x, { training: true });
    const together = patchDiscriminator(params, running, x, { training: false });
    const alone = [0, 1, 2].map((i) => patchDiscriminator(params, running, tf.slice(x, i, 1), { training: false }).logits);
    expect(together.logits).toBeAllClose(tf.concat(alone).dataSync(), { rtol: 1e-4, atol: 1e-5 });
    expect(together.running[1]!.mean.dataSync()).toEqual(running[1]!.mean.dataSync());
    expect(running[1]!.mean.dataSync()).not.toEqual(fresh[1]!.mean.dataSync());
  });

  it('judges by running statistics in the end as by those of a batch it has seen often', () => {
    const params = initPatchDiscriminator(config, createRng(1));
    const x = images('x', [4, 16, 16, 3]);
    let seen = patchDiscriminator(params, initRunningStatistics(config), x, { training: true });
    for (let i = 0; i < 150; i++) seen = patchDiscriminator(params, seen.running, x, { training: true });
    const judged = patchDiscriminator(params, seen.running, x, { training: false });
    // The running variance is the unbiased one: N / (N - 1) of the batch's, N being 4·3·3 positions.
    expect(judged.logits).toBeAllClose(seen.logits.dataSync(), { rtol: 0.05, atol: 2e-3 });
  });

  it('gives every weight a gradient that is not zero', () => {
    const params = toVariables(initPatchDiscriminator(config, createRng(1)));
    const running = initRunningStatistics(config);
    const loss = (): tf.Scalar => tf.mean(tf.square(patchDiscriminator(params, running, images('x'), { training: true }).logits)) as tf.Scalar;
    const { grads } = valueAndGrads(loss, params);
    const silent = Object.entries(grads).filter(([, grad]) => !(tf.max(tf.abs(grad)).dataSync()[0]! > 0));
    expect(silent.map(([path]) => path)).toEqual([]);
    disposeParams(params);
  });

  it('has the same gradient for the images when it is frozen, and none for its convolutions', () => {
    const params = initPatchDiscriminator(config, createRng(1));
    const running = initRunningStatistics(config);
    const x = images('x');
    const factors = tf.reshape(tf.range(0, 8), [2, 2, 2, 1]);
    const gradient = (frozen: boolean): tf.Tensor =>
      valueAndGrads(() => tf.sum(tf.mul(patchDiscriminator(params, running, x, { training: true, frozen }).logits, factors)) as tf.Scalar, { x }).grads['x']!;
    expect(gradient(true)).toBeAllClose(gradient(false).dataSync());
    const { weight } = params.blocks[1]!.conv;
    expect(() => valueAndGrads(() => tf.sum(patchDiscriminator(params, running, x, { training: true, frozen: true }).logits) as tf.Scalar, { x, weight })).toThrow(
      'the loss does not depend on "weight"',
    );
  });

  it('leaves nothing behind, nor when an image leaves no patch', async () => {
    const params = initPatchDiscriminator(config, createRng(1));
    const running = initRunningStatistics(config);
    const x = images('x');
    for (const training of [true, false]) await expectNoLeak(() => patchDiscriminator(params, running, x, { training }));
    const small = images('small', [1, 12, 11, 3]);
    await expectNoLeak(() => patchDiscriminator(params, running, small, { training: true }), {
      throws: 'patchDiscriminator: expected images of shape [B, H, W, 3] with sides of at least 12, received [1, 12, 11, 3].',
    });
  });
});

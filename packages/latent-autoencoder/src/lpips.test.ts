import * as tf from '@tensorflow/tfjs-core';
import { createRng, disposeParams, flattenParams, valueAndGrads } from '@sgdiff/nn';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { initLpips, lpips, lpipsBetween, lpipsFeatures, publishedLpipsConfig, type LpipsConfig, type LpipsParams } from './lpips';
import { lpipsSource, lpipsTensors } from './lpips-tensors';

const config: LpipsConfig = { widths: [4, 4, 6, 6, 8] };
let params: LpipsParams;

beforeAll(async () => {
  await setupBackend('wasm');
  params = initLpips(config, createRng('lpips'));
});
afterAll(() => disposeParams(params));

function images(seed: unknown, B = 2, side = 16): tf.Tensor4D {
  const values = createRng(String(seed)).fillNormal(new Float32Array(B * side * side * 3));
  return tf.tensor4d(values.map((value) => Math.max(-1, Math.min(1, 0.5 * value))), [B, side, side, 3]);
}

describe('lpips', () => {
  it('is 0 between an image and itself, positive and the same both ways between others', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 3 }), (seed, B) => {
        const [x, y] = [images(seed, B), images(seed + 1, B)];
        expect(Array.from(lpips(params, x, x).dataSync())).toEqual(new Array(B).fill(0));
        const there = lpips(params, x, y).dataSync();
        expect(there.every((distance) => distance > 0)).toBe(true);
        expect(lpips(params, y, x)).toBeAllClose(there);
        tf.dispose([x, y]);
      }),
      { numRuns: 10 },
    );
  });

  it('gives each pair its own distance, whatever else is in the batch', () => {
    const [x, y] = [images('x', 3), images('y', 3)];
    const alone = [0, 1, 2].map((i) => lpips(params, tf.slice(x, i, 1), tf.slice(y, i, 1)).dataSync()[0]!);
    expect(lpips(params, x, y)).toBeAllClose(alone);
  });

  it('is the distance of features that were computed before', () => {
    const [x, y] = [images('x'), images('y')];
    const features = lpipsFeatures(params, y);
    expect(features.map(({ shape }) => shape)).toEqual([
      [2, 16, 16, 4],
      [2, 8, 8, 4],
      [2, 4, 4, 6],
      [2, 2, 2, 6],
      [2, 1, 1, 8],
    ]);
    expect(lpipsBetween(params, lpipsFeatures(params, x), features)).toBeAllClose(lpips(params, x, y).dataSync());
  });

  it('has the gradient of finite differences', async () => {
    // Small steps, for a rectifier has a kink nearly everywhere.
    await checkGradients((x) => lpips(params, x as tf.Tensor4D, images('y', 1)), [images('x', 1)], {
      eps: 2e-3,
      rtol: 0.05,
      atol: 2e-4,
    });
  });

  it('has a finite gradient where all features are 0', () => {
    const dead = initLpips(config, createRng(1));
    const dark: LpipsParams = {
      ...dead,
      groups: dead.groups.map((group) => group.map(({ weight }) => ({ weight, bias: tf.fill([weight.shape[3]], -1e3) as tf.Tensor1D }))),
    };
    const x = images('x');
    const { value, grads } = valueAndGrads(() => tf.sum(lpips(dark, x, images('y'))) as tf.Scalar, { x });
    expect(value.dataSync()[0]).toBe(0);
    expect(grads['x']!.dataSync().every((gradient) => gradient === 0)).toBe(true);
  });

  it('has no gradient with respect to its weights', () => {
    const [x, y] = [images('x'), images('y')];
    const { weight } = params.groups[0]![0]!;
    expect(() => valueAndGrads(() => tf.sum(lpips(params, x, y)) as tf.Scalar, { x, weight })).toThrow(
      'valueAndGrads: the loss does not depend on "weight". Leave these weights out of the tree, or pass allowMissing.',
    );
  });

  it('leaves nothing behind, nor when the images do not fit', async () => {
    const [x, y] = [images('x'), images('y')];
    await expectNoLeak(() => valueAndGrads(() => tf.sum(lpips(params, x, y)) as tf.Scalar, { x }));
    const one = tf.slice(y, 0, 1);
    await expectNoLeak(() => lpips(params, x, one), {
      throws: 'lpips: expected two batches of one shape, received [2, 16, 16, 3] and [1, 16, 16, 3].',
    });
    const small = tf.zeros<tf.Rank.R4>([1, 15, 16, 3]);
    await expectNoLeak(() => lpipsFeatures(params, small), {
      throws: 'lpipsFeatures: expected images of shape [B, H, W, 3] with sides of at least 16, received [1, 15, 16, 3].',
    });
  });
});

describe('lpipsTensors', () => {
  it('lists exactly what initLpips makes, in its order', () => {
    expect(lpipsTensors(config)).toEqual(flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape })));
  });

  it('are 14,716,160 weights in 31 tensors for VGG16', () => {
    const entries = lpipsTensors(publishedLpipsConfig);
    expect(entries).toHaveLength(31);
    expect(entries.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(14_716_160);
  });

  it('refuses widths that are no model', () => {
    expect(() => lpipsTensors({ widths: [4, 4, 0, 4, 4] })).toThrow(
      'LpipsConfig: expected widths of 5 whole numbers above 0, received [4, 4, 0, 4, 4].',
    );
  });
});

describe('lpipsSource', () => {
  const names = (form: 'taming' | 'torchvision'): string[] => lpipsTensors(config).map(({ path }) => lpipsSource(path, form).name);
  const numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];

  it('has the names of taming, group by group', () => {
    const groups = [1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5];
    expect(names('taming')).toEqual([
      ...numbers.flatMap((number, i) => ['weight', 'bias'].map((kind) => `net.slice${groups[i]}.${number}.${kind}`)),
      ...[0, 1, 2, 3, 4].map((i) => `lin${i}.model.1.weight`),
    ]);
  });

  it('has the names of torchvision, and of the lpips package for the heads', () => {
    expect(names('torchvision')).toEqual([
      ...numbers.flatMap((number) => ['weight', 'bias'].map((kind) => `features.${number}.${kind}`)),
      ...[0, 1, 2, 3, 4].map((i) => `lin${i}.model.1.weight`),
    ]);
  });

  it('says how each is stored', () => {
    expect(lpipsSource('groups.0.1.weight', 'taming')).toEqual({ name: 'net.slice1.2.weight', layout: 'conv' });
    expect(lpipsSource('groups.0.1.bias', 'taming')).toEqual({ name: 'net.slice1.2.bias', layout: 'same' });
    expect(lpipsSource('heads.4.weight', 'taming')).toEqual({ name: 'lin4.model.1.weight', layout: 'conv' });
  });

  it.each(['groups.0.2.weight', 'heads.5.weight', 'shift'])('refuses %s', (path) => {
    expect(() => lpipsSource(path, 'taming')).toThrow(`lpipsSource: "${path}" is no weight of the perceptual distance.`);
  });
});

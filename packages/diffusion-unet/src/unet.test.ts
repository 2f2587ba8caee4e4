import * as tf from '@tensorflow/tfjs-core';
import { createRng, disposeParams, flattenParams, mapParams } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UnetCondition } from './condition';
import type { UnetConfig } from './config';
import { initUnet, unet, type UnetParams } from './unet';

const config: UnetConfig = {
  inChannels: 3,
  outChannels: 3,
  modelChannels: 8,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionFactors: [1, 2],
  crossOnlyFactors: [1],
  headChannels: 4,
  transformerDepth: 1,
  feedForwardMult: 2,
  contextWidth: 6,
  localWidth: 9,
  globalWidth: 5,
  globalInTime: true,
  maskPadding: true,
  nullToken: true,
  contextNorm: true,
  groups: 4,
};
const exact = { rtol: 0, atol: 0 };
const close = { rtol: 1e-4, atol: 1e-5 };

const rng = createRng('unet.test');
const normal = <R extends tf.Rank>(shape: number[], key: string): tf.Tensor<R> =>
  tf.tensor<R>(rng.fork(key).fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape as tf.ShapeMap[R]);

/** A fresh network says 0; here every weight is moved, so that everything has a say. */
function lively(of: UnetConfig): UnetParams {
  const fresh = initUnet(of, createRng(4));
  const moved = mapParams(fresh, (weight, path) =>
    tf.tidy(() => tf.add(weight, tf.mul(normal(weight.shape, path), 0.15))),
  );
  disposeParams(fresh);
  return moved;
}

function conditionOf(batch: number, triples: number, key = 'condition'): UnetCondition {
  return {
    local: normal([batch, triples, 9], `${key} local`),
    mask: tf.ones([batch, triples]),
    global: normal([batch, 5], `${key} global`),
  };
}

let params: UnetParams;
let x: tf.Tensor4D;
let t: tf.Tensor1D;
let condition: UnetCondition;

beforeAll(async () => {
  await setupBackend('cpu');
  params = lively(config);
  x = normal([2, 4, 4, 3], 'x');
  t = tf.tensor1d([10, 900]);
  condition = conditionOf(2, 3);
});
afterAll(() => disposeParams(params));

describe('unet', () => {
  it('predicts 0 when fresh', () => {
    const fresh = initUnet(config, createRng(1));
    expect(unet(fresh, config, x, t, condition)).toBeAllClose(new Float32Array(96), exact);
    disposeParams(fresh);
  });

  it('depends on the latents, the time, each triple and the graph', () => {
    const y = unet(params, config, x, t, condition).dataSync();
    const moved = (other: tf.Tensor): number =>
      tf.max(tf.abs(tf.sub(other, tf.tensor(y, [2, 4, 4, 3])))).dataSync()[0]!;
    expect(moved(unet(params, config, tf.mul(x, 1.1), t, condition))).toBeGreaterThan(1e-2);
    expect(moved(unet(params, config, x, tf.tensor1d([20, 700]), condition))).toBeGreaterThan(1e-3);
    expect(moved(unet(params, config, x, t, { ...condition, global: tf.neg(condition.global) }))).toBeGreaterThan(1e-3);
    for (let triple = 0; triple < 3; triple++) {
      const sign = tf.sub(1, tf.mul(2, tf.reshape(tf.oneHot(triple, 3), [1, 3, 1])));
      const local = tf.mul(condition.local, sign) as tf.Tensor3D;
      expect(moved(unet(params, config, x, t, { ...condition, local }))).toBeGreaterThan(1e-3);
    }
  });

  it('does not care about the order of the triples', () => {
    const order = tf.tensor1d([2, 0, 1], 'int32');
    const local = tf.gather(condition.local, order, 1) as tf.Tensor3D;
    expect(unet(params, config, x, t, { ...condition, local })).toBeAllClose(
      unet(params, config, x, t, condition),
      close,
    );
  });

  it('keeps the items of a batch apart', () => {
    const both = unet(params, config, x, t, condition);
    const second = unet(params, config, tf.slice(x, [1, 0, 0, 0], [1, 4, 4, 3]), tf.slice(t, 1, 1), {
      local: tf.slice(condition.local, [1, 0, 0], [1, 3, 9]),
      mask: tf.slice(condition.mask, [1, 0], [1, 3]),
      global: tf.slice(condition.global, [1, 0], [1, 5]),
    });
    expect(tf.slice(both, [1, 0, 0, 0], [1, 4, 4, 3])).toBeAllClose(second, close);
  });

  it('is the same whatever stands in padded triples, and with more of them', () => {
    const y = unet(params, config, x, t, condition);
    for (const padding of [1, 4]) {
      const garbage = normal<tf.Rank.R3>([2, padding, 9], 'garbage');
      const padded = {
        local: tf.concat([condition.local, tf.mul(garbage, 100)], 1) as tf.Tensor3D,
        mask: tf.concat([condition.mask, tf.zeros([2, padding])], 1) as tf.Tensor2D,
        global: condition.global,
      };
      expect(unet(params, config, x, t, padded)).toBeAllClose(y, close);
    }
  });

  it('attends to the padding when the config says so, as the published model does', () => {
    const open = { ...config, maskPadding: false };
    const padded = {
      local: tf.concat([condition.local, tf.zeros([2, 2, 9])], 1) as tf.Tensor3D,
      mask: tf.concat([condition.mask, tf.zeros([2, 2])], 1) as tf.Tensor2D,
      global: condition.global,
    };
    const difference = tf.sub(unet(params, open, x, t, padded), unet(params, open, x, t, condition));
    expect(tf.max(tf.abs(difference)).dataSync()[0]).toBeGreaterThan(1e-3);
  });

  it('does not see the condition where keep is 0, and nothing else where it is 1', () => {
    const other = conditionOf(2, 3, 'other');
    const keep = tf.tensor1d([0, 1]);
    const a = unet(params, config, x, t, condition, { keep });
    const b = unet(params, config, x, t, other, { keep });
    const one = (y: tf.Tensor4D, i: number): tf.Tensor => tf.slice(y, [i, 0, 0, 0], [1, 4, 4, 3]);
    expect(one(a, 0)).toBeAllClose(one(b, 0), close);
    expect(one(a, 1)).toBeAllClose(one(unet(params, config, x, t, condition), 1), close);
    const kept = unet(params, config, x, t, condition, { keep: tf.ones([2]) });
    expect(kept).toBeAllClose(unet(params, config, x, t, condition), exact);
    const dropped = tf.sub(one(a, 0), one(kept, 0));
    expect(tf.max(tf.abs(dropped)).dataSync()[0]).toBeGreaterThan(1e-3);
  });

  it('tells where it looked, and computes the same', () => {
    const mask = tf.tensor2d([[1, 1, 0], [1, 1, 1]]); // prettier-ignore
    const masked = { ...condition, mask };
    const maps: { factor: number; values: Float32Array; shape: number[] }[] = [];
    const y = unet(params, config, x, t, masked, {
      onAttention: ({ factor, shares }) =>
        maps.push({ factor, shape: shares.shape, values: shares.dataSync() as Float32Array }),
    });
    expect(y.dataSync()).toEqual(unet(params, config, x, t, masked).dataSync());
    expect(maps.map(({ factor }) => factor)).toEqual([1, 2, 2, 2, 2, 1, 1]);
    for (const { factor, shape, values } of maps) {
      expect(shape).toEqual([2, 4 / factor, 4 / factor, 4]);
      const shares = tf.tensor(values, shape);
      expect(tf.sum(shares, -1)).toBeAllClose(tf.ones(shape.slice(0, 3)));
      expect(tf.sum(tf.slice(shares, [0, 0, 0, 2], [1, -1, -1, 1])).dataSync()[0]).toBe(0);
      expect(tf.min(tf.slice(shares, [1, 0, 0, 0])).dataSync()[0]).toBeGreaterThan(0);
    }
  });

  it('counts a triple of weight 2 as one that is there twice, one of 0 as none, and of 1 as ever', () => {
    const weigh = (...weights: number[]): UnetCondition => ({
      ...condition,
      weights: tf.tensor2d([weights, weights]),
    });
    const y = unet(params, config, x, t, condition);
    expect(unet(params, config, x, t, weigh(1, 1, 1)).dataSync()).toEqual(y.dataSync());
    const twice = tf.tensor1d([0, 1, 1, 2], 'int32');
    const doubled = {
      local: tf.gather(condition.local, twice, 1),
      mask: tf.gather(condition.mask, twice, 1),
      global: condition.global,
    };
    expect(unet(params, config, x, t, weigh(1, 2, 1))).toBeAllClose(unet(params, config, x, t, doubled), close);
    const without = { ...condition, mask: tf.tensor2d([[1, 0, 1], [1, 0, 1]]) }; // prettier-ignore
    expect(unet(params, config, x, t, weigh(1, 0, 1))).toBeAllClose(unet(params, config, x, t, without), close);
  });

  it('needs no triple at all', () => {
    const none = { ...condition, mask: tf.zeros([2, 3]) as tf.Tensor2D };
    expect(unet(params, config, x, t, none).dataSync().every(Number.isFinite)).toBe(true);
  });

  it('takes times between the steps', () => {
    const at = (time: number): tf.Tensor4D => unet(params, config, x, tf.tensor1d([time, time]), condition);
    const whole = at(500).dataSync();
    const moved = (time: number): number => tf.max(tf.abs(tf.sub(tf.reshape(at(time), [96]), whole))).dataSync()[0]!;
    expect(moved(500.02)).toBeGreaterThan(1e-4);
    expect(moved(500.02)).toBeLessThan(0.1 * moved(500.5));
  });

  it('runs on latents that are not square', () => {
    const wide = normal<tf.Rank.R4>([2, 2, 6, 3], 'wide');
    expect(unet(params, config, wide, t, condition).shape).toEqual([2, 2, 6, 3]);
  });

  it('leaves nothing behind, also when it throws', async () => {
    await expectNoLeak(() => unet(params, config, x, t, condition));
    await expectNoLeak(() => unet(params, config, x, t, condition, { onAttention: ({ shares }) => tf.mul(shares, 2) }));
    await expectNoLeak(
      () =>
        unet(params, config, x, t, condition, {
          onAttention: () => {
            throw new Error('not now');
          },
        }),
      { throws: 'not now' },
    );
    const two = tf.ones([2, 2]) as tf.Tensor2D;
    await expectNoLeak(() => unet(params, config, x, t, { ...condition, mask: two }), {
      throws: 'unet: expected mask of shape [2, 3], received [2, 2].',
    });
    two.dispose();
  });
});

describe('unet says what does not fit', () => {
  it('latents', () => {
    expect(() => unet(params, config, tf.zeros([2, 4, 3, 3]), t, condition)).toThrow(
      'unet: expected x of shape [B, h, w, 3] with sides that are multiples of 2, received [2, 4, 3, 3].',
    );
  });

  it('times', () => {
    expect(() => unet(params, config, x, tf.zeros([3]), condition)).toThrow(
      'unet: expected t of shape [2], received [3].',
    );
  });

  it('condition', () => {
    const local = tf.zeros([2, 3, 8]) as tf.Tensor3D;
    expect(() => unet(params, config, x, t, { ...condition, local })).toThrow(
      'unet: expected local of shape [2, 3, 9], received [2, 3, 8].',
    );
  });

  it('keep without a null condition', () => {
    const without = { ...config, nullToken: false };
    const plain = initUnet(without, createRng(1));
    expect(() => unet(plain, without, x, t, condition, { keep: tf.ones([2]) })).toThrow(
      'unet: expected no keep, since this network has no null condition, received keep of shape [2]. ' +
        'Set nullToken in its config and train it with condition dropout.',
    );
    disposeParams(plain);
  });

  it.each<[Partial<UnetConfig>, string]>([
    [
      { groups: 3 },
      'UnetConfig: expected the width of level 0 to be a multiple of groups (3), received 8. Change modelChannels, channelMults or groups.',
    ],
    [{ headChannels: 3 }, 'UnetConfig: expected headChannels to divide the width of level 0 (8), received 3.'],
    [
      { attentionFactors: [4] },
      'UnetConfig: expected attentionFactors out of 1, 2, received 4. They are downsampling factors, not sides.',
    ],
    [
      { crossOnlyFactors: [1, 4] },
      'UnetConfig: expected crossOnlyFactors to be among attentionFactors (1, 2), received 4.',
    ],
    [{ numResBlocks: 0 }, 'UnetConfig: expected numResBlocks to be a whole number above 0, received 0.'],
  ])('config %j', (change, message) => {
    expect(() => initUnet({ ...config, ...change }, createRng(0))).toThrow(message);
  });
});

describe('initUnet', () => {
  it('gives the same weights for the same key', () => {
    const values = (key: number): number[] => {
      const made = initUnet(config, createRng(key));
      const out = flattenParams(made).flatMap(({ tensor }) => Array.from(tensor.dataSync()));
      disposeParams(made);
      return out;
    };
    expect(values(1)).toEqual(values(1));
    expect(values(1)).not.toEqual(values(2));
  });
});

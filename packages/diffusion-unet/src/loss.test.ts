import * as tf from '@tensorflow/tfjs-core';
import {
  createAdamW,
  createRng,
  disposeParams,
  flattenParams,
  mapParams,
  toVariables,
  valueAndGrads,
} from '@sgdiff/nn';
import { createSchedule } from '@sgdiff/sampler';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { UnetConfig } from './config';
import { diffusionLoss, minSnrWeight, type DiffusionBatch } from './loss';
import { initUnet, type UnetParams } from './unet';

const config: UnetConfig = {
  inChannels: 2,
  outChannels: 2,
  modelChannels: 8,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionFactors: [2],
  headChannels: 8,
  transformerDepth: 1,
  feedForwardMult: 1,
  contextWidth: 6,
  localWidth: 9,
  globalWidth: 5,
  globalInTime: true,
  maskPadding: true,
  nullToken: true,
  groups: 4,
};
const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
const rng = createRng('loss.test');
const normal = <R extends tf.Rank>(shape: number[], key: string): tf.Tensor<R> =>
  tf.tensor<R>(rng.fork(key).fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape as tf.ShapeMap[R]);

const batchOf = (t: number[]): DiffusionBatch => ({
  latents: normal([t.length, 4, 4, 2], 'latents'),
  noise: normal([t.length, 4, 4, 2], 'noise'),
  condition: {
    local: normal([t.length, 3, 9], 'local'),
    mask: tf.tensor2d(t.map((_, i) => [1, 1, i % 2])),
    global: normal([t.length, 5], 'global'),
  },
  t: Int32Array.from(t),
  keep: tf.tensor1d(t.map((_, i) => (i % 3 === 2 ? 0 : 1))),
});

beforeAll(() => setupBackend('cpu'));

describe('diffusionLoss', () => {
  it('of a network that says 0 is the mean square of its target', () => {
    const params = initUnet(config, createRng(1));
    const batch = { ...batchOf([3, 500, 990]) };
    const [x0, noise] = [batch.latents.dataSync(), batch.noise.dataSync()];
    const expected = (prediction: 'eps' | 'v'): number[] =>
      Array.from(batch.t, (t, i) => {
        const a = schedule.alphasCumprod[t]!;
        let sum = 0;
        for (let j = i * 32; j < (i + 1) * 32; j++) {
          const v = Math.sqrt(a) * noise[j]! - Math.sqrt(1 - a) * x0[j]!;
          sum += (prediction === 'v' ? v : noise[j]!) ** 2;
        }
        return sum / 32;
      });
    for (const prediction of ['eps', 'v'] as const) {
      const { loss, perSample } = diffusionLoss(params, config, schedule, batch, { prediction });
      const errors = expected(prediction);
      expect(perSample).toBeAllClose(errors, { rtol: 1e-5, atol: 0 });
      expect(loss).toBeAllClose([(errors[0]! + errors[1]! + errors[2]!) / 3], { rtol: 1e-5, atol: 0 });
      const weighted = diffusionLoss(params, config, schedule, batch, { prediction, minSnrGamma: 5 });
      expect(weighted.perSample).toBeAllClose(errors, { rtol: 1e-5, atol: 0 });
      const weights = Array.from(batch.t, (t) => minSnrWeight(schedule.alphasCumprod[t]!, 5, prediction));
      const mean = errors.reduce((sum, e, i) => sum + e * weights[i]!, 0) / 3;
      expect(weighted.loss).toBeAllClose([mean], { rtol: 1e-5, atol: 0 });
    }
    disposeParams(params);
  });

  it('gives every weight a gradient that is not zero', () => {
    const params = lively();
    const batch = batchOf([5, 400, 800]);
    const variables = toVariables(params);
    const { grads } = valueAndGrads(() => diffusionLoss(variables, config, schedule, batch).loss, variables);
    const silent = flattenParams(variables).filter(({ path }) => !(tf.max(tf.abs(grads[path]!)).dataSync()[0]! > 0));
    expect(silent.map(({ path }) => path)).toEqual([]);
    disposeParams(variables);
    disposeParams(params);
  });

  it('has the gradients of finite differences', async () => {
    const params = lively();
    const batch = batchOf([5, 400, 800]);
    for (const path of [
      'timeEmbed.in.weight',
      'condition.nullToken',
      'middleBlock.transformer.blocks.0.attn2.k.weight',
    ]) {
      const weight = flattenParams(params).find((entry) => entry.path === path)!.tensor;
      const f = (value: tf.Tensor): tf.Tensor =>
        diffusionLoss(
          mapParams(params, (w, p) => (p === path ? value : w)),
          config,
          schedule,
          batch,
        ).perSample;
      await checkGradients(f, [weight], { samples: 3, rtol: 2e-2 });
    }
    disposeParams(params);
  });

  it('leaves nothing behind, also when it throws', async () => {
    const params = initUnet(config, createRng(1));
    const batch = batchOf([3, 500]);
    await expectNoLeak(() => diffusionLoss(params, config, schedule, batch, { minSnrGamma: 5 }));
    await expectNoLeak(() => diffusionLoss(params, config, schedule, { ...batch, t: Int32Array.of(3, 1000) }), {
      throws: 'diffusionLoss: expected 2 times from 0 to 999, received [3, 1000].',
    });
    disposeParams(params);
  });

  it('says which times there are', () => {
    const params = initUnet(config, createRng(1));
    const batch = { ...batchOf([3, 500]), t: Int32Array.of(3, 1000) };
    expect(() => diffusionLoss(params, config, schedule, batch)).toThrow(
      'diffusionLoss: expected 2 times from 0 to 999, received [3, 1000].',
    );
    disposeParams(params);
  });

  it('overfits one batch', () => {
    const small: UnetConfig = { ...config, channelMults: [1], attentionFactors: [] };
    const init = initUnet(small, createRng(7));
    const params = toVariables(init);
    const batch = batchOf([100, 500, 900]);
    const optimiser = createAdamW(params, { learningRate: 1e-2, weightDecay: 0 });
    const loss = (): tf.Scalar => diffusionLoss(params, small, schedule, batch, { prediction: 'v' }).loss;
    const before = tf.tidy(() => loss().dataSync()[0]!);
    for (let step = 0; step < 25; step++) {
      const { value, grads } = valueAndGrads(loss, params);
      optimiser.step(grads);
      tf.dispose([value, ...Object.values(grads)]);
    }
    expect(tf.tidy(() => loss().dataSync()[0]!)).toBeLessThan(0.2 * before);
    optimiser.dispose();
    disposeParams(params);
    disposeParams(init);
  });
});

describe('minSnrWeight', () => {
  const number = (min: number, max: number): fc.Arbitrary<number> => fc.double({ min, max, noNaN: true });

  it('makes the error of x0 weigh min(snr, gamma), whatever is predicted', () => {
    fc.assert(
      fc.property(number(1e-4, 0.9999), number(0.1, 20), (alphaCumprod, gamma) => {
        const snr = alphaCumprod / (1 - alphaCumprod);
        // An error d of x0 is one of d·sqrt(alpha)/sqrt(1-alpha) of eps and of d/sqrt(1-alpha) of v.
        const eps = (minSnrWeight(alphaCumprod, gamma, 'eps') * alphaCumprod) / (1 - alphaCumprod);
        const v = minSnrWeight(alphaCumprod, gamma, 'v') / (1 - alphaCumprod);
        expect(eps).toBeCloseTo(Math.min(snr, gamma), 8);
        expect(v).toBeCloseTo(Math.min(snr, gamma), 8);
      }),
    );
  });

  it('has its limits where there is no signal (zero terminal SNR) and no noise', () => {
    expect([minSnrWeight(0, 5, 'eps'), minSnrWeight(0, 5, 'v')]).toEqual([1, 0]);
    expect([minSnrWeight(1, 5, 'eps'), minSnrWeight(1, 5, 'v')]).toEqual([0, 0]);
  });
});

/** A fresh network says 0; here every weight is moved, so that everything has a say. */
function lively(): UnetParams {
  const fresh = initUnet(config, createRng(4));
  const moved = mapParams(fresh, (weight, path) =>
    tf.tidy(() => tf.add(weight, tf.mul(normal(weight.shape, path), 0.15))),
  );
  disposeParams(fresh);
  return moved;
}

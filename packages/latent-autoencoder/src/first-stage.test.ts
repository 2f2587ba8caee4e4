import * as tf from '@tensorflow/tfjs-core';
import { createAdamW, createRng, disposeParams, flattenParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adaptiveWeight, generatorLoss } from './adversarial';
import { decodeQuantized, encode, initAutoencoder, type AutoencoderParams } from './autoencoder';
import type { AutoencoderConfig } from './config';
import { firstStageGradients, type FirstStageGradients, type FirstStageOptions } from './first-stage';
import { autoencoderLoss } from './loss';
import { initLpips, lpips, type LpipsParams } from './lpips';
import { initPatchDiscriminator, initRunningStatistics, patchDiscriminator, type PatchDiscriminatorParams } from './patch-discriminator';
import { quantize } from './quantizer';
import { withoutTape } from './without-tape';

const config: AutoencoderConfig = {
  imageChannels: 3,
  stem: 2,
  baseChannels: 8,
  channelMults: [1, 2],
  numResBlocks: 1,
  decoderResBlocks: 1,
  attentionLevels: [],
  middle: 'none',
  zChannels: 4,
  embedDim: 4,
  codebookSize: 16,
  groups: 4,
};
const judgeConfig = { imageChannels: 3, channels: 4, layers: 2 };
const weights = { l1: 0.7, l2: 1, edge: 0.3, codebook: 0.8, beta: 0.5 };

let params: AutoencoderParams;
let distance: LpipsParams;
let judge: PatchDiscriminatorParams;
let images: tf.Tensor4D;
const running = (): ReturnType<typeof initRunningStatistics> => initRunningStatistics(judgeConfig);

beforeAll(async () => {
  await setupBackend('wasm');
  params = initAutoencoder(config, createRng('autoencoder'));
  distance = initLpips({ widths: [4, 4, 4, 4, 4] }, createRng('lpips'));
  judge = initPatchDiscriminator(judgeConfig, createRng('judge'));
  images = tf.tensor4d(createRng('images').fillNormal(new Float32Array(2 * 16 * 16 * 3)).map(Math.tanh), [2, 16, 16, 3]);
});
afterAll(() => tf.disposeVariables());

const both = (): FirstStageOptions => ({
  ...weights,
  perceptual: { params: distance, weight: 0.4 },
  adversarial: { params: judge, running: running(), weight: 0.6 },
});
const number = (x: tf.Tensor): number => x.dataSync()[0]!;

function expectGradients(received: FirstStageGradients['grads'], expected: FirstStageGradients['grads']): void {
  expect(Object.keys(received)).toEqual(Object.keys(expected));
  for (const [path, gradient] of Object.entries(expected)) {
    const largest = number(tf.max(tf.abs(gradient)));
    expect(received[path], path).toBeAllClose(gradient.dataSync(), { rtol: 0, atol: 1e-4 * largest + 1e-7 });
  }
}

describe('firstStageGradients', () => {
  it('are those of autoencoderLoss when nothing is added to it', () => {
    const { loss, grads, terms, discriminator } = firstStageGradients(params, config, images, weights);
    const { value, grads: plain } = valueAndGrads(() => autoencoderLoss(params, config, images, weights).loss, params);
    expect(loss).toBeAllClose(value.dataSync());
    expectGradients(grads, plain);
    expect(Object.keys(terms).sort()).toEqual(['codebook', 'l1', 'reconstruction']);
    expect(discriminator).toBeUndefined();
    expect(firstStageGradients(params, config, images).loss).toBeAllClose(autoencoderLoss(params, config, images).loss.dataSync());
  });

  it('are those of one pass through everything once the adaptive weight is known', () => {
    const step = firstStageGradients(params, config, images, both());
    const strength = 0.6 * number(step.terms['adaptiveWeight']!);
    const whole = valueAndGrads(() => {
      const { loss, images: decoded } = autoencoderLoss(params, config, images, weights);
      const perceptual = tf.mul(tf.mean(lpips(distance, decoded, images)), 0.4);
      const fake = generatorLoss(patchDiscriminator(judge, running(), decoded, { training: true }).logits);
      return tf.addN([loss, perceptual, tf.mul(fake, strength)]) as tf.Scalar;
    }, params);
    expect(step.loss).toBeAllClose(whole.value.dataSync());
    expectGradients(step.grads, whole.grads);
    const silent = Object.entries(step.grads).filter(([, grad]) => !(number(tf.max(tf.abs(grad))) > 0));
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  it('weigh by gradients at the last layer, taken by two passes through all of the decoder', () => {
    const step = firstStageGradients(params, config, images, both());
    const zQ = tf.tidy(() => quantize(params, encode(params, config, images)).zQ);
    const at = (f: (decoded: tf.Tensor4D) => tf.Tensor): tf.Tensor =>
      valueAndGrads(() => f(decodeQuantized(params, config, zQ)) as tf.Scalar, { weight: params.decoder.convOut.weight }).grads['weight']!;
    const likeness = at((decoded) => {
      const error = tf.sub(decoded, images);
      const [B, H, W] = images.shape;
      const down = tf.sub(tf.slice(error, [0, 1, 0, 0], [B, H - 1, W, 3]), tf.slice(error, [0, 0, 0, 0], [B, H - 1, W, 3]));
      const across = tf.sub(tf.slice(error, [0, 0, 1, 0], [B, H, W - 1, 3]), tf.slice(error, [0, 0, 0, 0], [B, H, W - 1, 3]));
      const edge = tf.add(tf.mean(tf.abs(down)), tf.mean(tf.abs(across)));
      return tf.addN([
        tf.mul(tf.mean(tf.abs(error)), 0.7),
        tf.mean(tf.square(error)),
        tf.mul(edge, 0.3),
        tf.mul(tf.mean(lpips(distance, decoded, images)), 0.4),
      ]);
    });
    const deceit = at((decoded) => generatorLoss(patchDiscriminator(judge, running(), decoded, { training: true }).logits));
    expect(step.terms['adaptiveWeight']).toBeAllClose(adaptiveWeight(likeness, deceit).dataSync(), { rtol: 1e-4 });
  });

  it('teach the discriminator on images that are constant for it', () => {
    const step = firstStageGradients(params, config, images, both());
    const silent = Object.entries(step.discriminator!.grads).filter(([, grad]) => !(number(tf.max(tf.abs(grad))) > 0));
    // While all logits lie within the margins, what lifts the decoded ones lowers the real ones as much.
    expect(silent.map(([path]) => path)).toEqual(['convOut.bias']);
    expect(Object.keys(step.discriminator!.grads)).toEqual(flattenParams(judge).map(({ path }) => path));
  });

  it('tell real images from decoded ones after some steps, while the autoencoder learns', () => {
    const variables = toVariables({ autoencoder: params, judge });
    const options = { learningRate: 2e-3, weightDecay: 0, beta1: 0.5, beta2: 0.9 };
    const optimisers = [createAdamW(variables.autoencoder, options), createAdamW(variables.judge, options)] as const;
    let statistics = running();
    const losses: number[] = [];
    const judged: number[] = [];
    for (let i = 0; i < 30; i++) {
      const step = firstStageGradients(variables.autoencoder, config, images, {
        adversarial: { params: variables.judge, running: statistics, weight: 0.6 },
      });
      losses.push(number(step.terms['l1']!));
      judged.push(number(step.discriminator!.loss));
      optimisers[0].step(step.grads);
      optimisers[1].step(step.discriminator!.grads);
      const { running: next, ...rest } = step.discriminator!;
      tf.dispose([statistics, step.loss, step.grads, step.terms, step.indices, rest]);
      statistics = next;
    }
    expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
    expect(judged.at(-1)).toBeLessThan(0.5 * judged[0]!);
    optimisers.forEach((optimiser) => optimiser.dispose());
    tf.dispose(statistics);
    disposeParams(variables);
  });

  it('leave nothing behind, with each part and without', async () => {
    const { perceptual, adversarial } = both();
    for (const options of [{}, { perceptual: perceptual! }, { adversarial: adversarial! }, { perceptual: perceptual!, adversarial: adversarial! }]) {
      await expectNoLeak(() => firstStageGradients(params, config, images, options));
    }
  });

  it('leave nothing behind when an image is too small for one of the networks', async () => {
    const small = tf.zeros<tf.Rank.R4>([1, 12, 12, 3]);
    const tiny = tf.zeros<tf.Rank.R4>([1, 8, 8, 3]);
    const { perceptual, adversarial } = both();
    await expectNoLeak(() => firstStageGradients(params, config, small, { perceptual: perceptual!, adversarial: adversarial! }), {
      throws: 'lpipsFeatures: expected images of shape [B, H, W, 3] with sides of at least 16, received [1, 12, 12, 3].',
    });
    await expectNoLeak(() => firstStageGradients(params, config, tiny, { adversarial: adversarial! }), {
      throws: 'patchDiscriminator: expected images of shape [B, H, W, 3] with sides of at least 12, received [1, 8, 8, 3].',
    });
    await expectNoLeak(() => firstStageGradients(params, config, images, { adversarial: adversarial! })); // nor is the tape left open
  });
});

describe('withoutTape', () => {
  it('lets gradients be taken inside another, as constants for it', () => {
    const x = tf.scalar(3);
    const { value, grads } = valueAndGrads(() => {
      const slope = withoutTape(() => valueAndGrads(() => tf.mul(x, tf.square(x)) as tf.Scalar, { x }).grads['x']!); // 27
      return tf.mul(slope, tf.square(x)) as tf.Scalar;
    }, { x }); // prettier-ignore
    expect(number(value)).toBeCloseTo(27 * 9);
    expect(number(grads['x']!)).toBeCloseTo(27 * 6);
  });

  it('hands the tape back when something in it throws', async () => {
    const x = tf.scalar(2);
    await expectNoLeak(() =>
      valueAndGrads(() => {
        expect(() => withoutTape(() => valueAndGrads(() => { throw new Error('inside'); }, { x }))).toThrow('inside'); // prettier-ignore
        return tf.square(x) as tf.Scalar;
      }, { x }), // prettier-ignore
    );
  });
});

// Shapes: B batch, h and w latent sides, c latent channels.
// Names: alphasCumprod[t] is alpha-bar at t; snr = alpha-bar / (1 - alpha-bar).
import * as tf from '@tensorflow/tfjs-core';
import { expectShape, ShapeError, sumItems } from '@sgdiff/nn';
import type { Schedule } from '@sgdiff/sampler';
import type { UnetCondition } from './condition';
import type { UnetConfig } from './config';
import { unet, type UnetParams } from './unet';

export type DiffusionBatch = {
  /** Clean latents `[B, h, w, c]`, float32, scaled to about unit variance. */
  readonly latents: tf.Tensor4D;
  readonly condition: UnetCondition;
  /** Standard normal `[B, h, w, c]`. */
  readonly noise: tf.Tensor4D;
  /** Time of each item, 0 … timesteps - 1. */
  readonly t: Int32Array;
  /** 1 to keep an item's condition, 0 to drop it: `[B]`. All kept if left out. */
  readonly keep?: tf.Tensor1D;
};

export type DiffusionLossOptions = {
  /** What the network predicts; 'eps' unless given. */
  readonly prediction?: 'eps' | 'v';
  /** Limits the weight of nearly clean items to that of this signal-to-noise ratio (5 in the paper); off unless given. */
  readonly minSnrGamma?: number;
};

export type DiffusionLoss = {
  /** Mean over the batch of the weighted errors. */
  readonly loss: tf.Scalar;
  /** Mean squared error of each item, without weights: `[B]`. */
  readonly perSample: tf.Tensor1D;
};

/**
 * Training objective: how well the network tells noise (or v) from a latent at a time.
 *
 * @param schedule Only `alphasCumprod` is read.
 * @returns Scalar and per-item errors. The caller disposes both.
 * @throws ShapeError if shapes do not fit or a time lies outside of the schedule.
 * @see arXiv:2006.11239, equation 14 (eps); arXiv:2202.00512, appendix D (v); arXiv:2303.09556, section 3.4 (min-SNR).
 */
export function diffusionLoss(
  params: UnetParams,
  config: UnetConfig,
  schedule: Pick<Schedule, 'alphasCumprod'>,
  batch: DiffusionBatch,
  options: DiffusionLossOptions = {},
): DiffusionLoss {
  const { prediction = 'eps', minSnrGamma } = options;
  const { latents, noise, t, condition, keep } = batch;
  const [B] = latents.shape;
  expectShape('diffusionLoss', { noise }, { noise: latents.shape });
  const alphasCumprod = Array.from(t, (time) => schedule.alphasCumprod[time] ?? NaN);
  if (t.length !== B || alphasCumprod.some(Number.isNaN)) {
    throw new ShapeError(
      `diffusionLoss: expected ${B} times from 0 to ${schedule.alphasCumprod.length - 1}, ` +
        `received [${Array.from(t).join(', ')}].`,
    );
  }
  return tf.tidy(() => {
    const perItem = (f: (alphaCumprod: number) => number): tf.Tensor4D =>
      tf.tensor4d(alphasCumprod.map(f), [B, 1, 1, 1]);
    const signal = perItem((a) => Math.sqrt(a));
    const spread = perItem((a) => Math.sqrt(1 - a));
    const xT = tf.add(tf.mul(signal, latents), tf.mul(spread, noise)) as tf.Tensor4D;
    const target = prediction === 'eps' ? noise : tf.sub(tf.mul(signal, noise), tf.mul(spread, latents));
    const predicted = unet(params, config, xT, tf.tensor1d(Float32Array.from(t)), condition, keep ? { keep } : {});
    const perSample = tf.div(sumItems(tf.square(tf.sub(predicted, target))), target.size / target.shape[0]) as tf.Tensor1D; // [B]
    if (minSnrGamma === undefined) return { loss: tf.mean(perSample) as tf.Scalar, perSample };
    const weights = tf.tensor1d(alphasCumprod.map((a) => minSnrWeight(a, minSnrGamma, prediction)));
    return { loss: tf.mean(tf.mul(perSample, weights)) as tf.Scalar, perSample };
  });
}

/**
 * Weight of an item's squared error that limits its weight on x0 to `min(snr, gamma)`.
 *
 * The error of eps is snr times that of x0, the error of v is snr + 1 times that of x0. In pure noise (`alphaCumprod` 0) eps keeps the
 * weight 1 that it has wherever snr is below gamma, and v has 0.
 *
 * @see arXiv:2303.09556, section 3.4 and appendix for v.
 */
export function minSnrWeight(alphaCumprod: number, gamma: number, prediction: 'eps' | 'v'): number {
  const snr = alphaCumprod / (1 - alphaCumprod);
  return prediction === 'eps' ? Math.min(1, gamma / snr) : Math.min(snr, gamma) / (snr + 1);
}

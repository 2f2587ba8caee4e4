// Shapes: B batch, then any further axes of the data, e.g. [B, H, W, C].
// Convention: x = x0 + sigma * eps (arXiv:2206.00364). A model trained on the variance-preserving form
// xT = sqrt(alphaCumprod) * x0 + sqrt(1 - alphaCumprod) * eps sees x / sqrt(1 + sigma^2), for alphaCumprod = 1 / (1 + sigma^2).
import * as tf from '@tensorflow/tfjs-core';
import { expectFunction, expectOneOf, SamplerError } from './errors';
import { expectAnswer } from './expect-tensor';
import { expectSchedule, type Schedule, timestepOfSigma } from './schedule';

/** Where in the run a denoiser is being called. */
export type DenoiserStep = {
  /** Step, counted from 0. */
  readonly index: number;
  /** How many steps the run has. */
  readonly steps: number;
};

/**
 * The clean data a network sees in noisy data: what every sampler here runs on.
 *
 * @param x Noisy data `x0 + sigma * eps`, `[B, …]`, float32. Borrowed.
 * @param sigma Noise level, the standard deviation of the noise in `x`; above 0.
 * @returns The predicted x0, of the shape of `x`. The caller disposes it. Samplers call inside a `tf.tidy` and clone the
 *   answer, so under them a denoiser may also return a tensor that it keeps.
 */
export type Denoiser<T extends tf.Tensor = tf.Tensor> = (x: T, sigma: number, step: DenoiserStep) => T;

/** A network on variance-preserving data: `xT` `[B, …]` of about unit variance, `t` `[B]` float32 from 0 to timesteps - 1. */
export type DiffusionModel<T extends tf.Tensor = tf.Tensor> = (xT: T, t: tf.Tensor1D) => T;

/** What a network was trained to predict: the noise, the velocity (arXiv:2202.00512, section 4), or the clean data. */
export type Prediction = 'eps' | 'v' | 'x0';

const REMEDY =
  ' It has to answer every item of its batch; with guidance those are the conditional ones, then the unconditional ones.';
const PREDICTIONS: readonly Prediction[] = ['eps', 'v', 'x0'];

/**
 * A denoiser made of a network trained with a variance-preserving schedule.
 *
 * The network gets `x / sqrt(1 + sigma^2)` and the timestep of `sigma` (`timestepOfSigma`; whole for the sigmas of
 * `samplingSigmas`), once per call, and its answer is turned into x0.
 *
 * @param model Called inside a `tf.tidy`; borrows its arguments.
 * @throws SamplerError if `prediction` is unknown, or 'eps' for a schedule of `zeroTerminalSnr`; the denoiser throws if sigma lies
 *   outside the schedule, and if the network's answer is not float32 of the shape of its input.
 */
export function denoiserFromModel<T extends tf.Tensor>(
  model: DiffusionModel<T>,
  schedule: Schedule,
  prediction: Prediction,
): Denoiser<T> {
  const where = 'denoiserFromModel';
  expectFunction(where, 'model', model, '(xT, t) => prediction');
  expectSchedule(where, schedule);
  expectPrediction(where, 'prediction', prediction);
  const last = schedule.timesteps - 1;
  const endsInPureNoise = schedule.alphasCumprod[last] === 0;
  if (endsInPureNoise && prediction === 'eps') {
    throw new SamplerError(
      `${where}: expected prediction 'v' or 'x0' for a schedule of zero terminal SNR, received 'eps'. ` +
        'At its last timestep eps is the input itself and tells nothing of x0.',
      'bad_argument',
    );
  }
  return (x, sigma, step) => {
    const t = timestepOfSigma(schedule, sigma);
    const alpha = 1 / Math.sqrt(1 + sigma * sigma); // sqrt(alphaCumprod)
    return tf.tidy(() => {
      const answer = model(tf.mul<T>(x, alpha), tf.fill([x.shape[0]!], t));
      const output = expectAnswer(where, 'the model', answer, x.shape, sigma, step, REMEDY); // [B, …]
      switch (prediction) {
        case 'eps':
          return tf.sub<T>(x, tf.mul(output, sigma));
        case 'v':
          if (endsInPureNoise && t === last) return tf.neg(output); // v is -x0 where alphaCumprod is 0
          return tf.sub<T>(tf.mul(x, alpha * alpha), tf.mul(output, sigma * alpha));
        case 'x0':
          return output;
      }
    });
  };
}

/** @throws SamplerError unless `value` is a prediction. For callers without types. */
export function expectPrediction(where: string, what: string, value: Prediction): void {
  expectOneOf(where, what, value, PREDICTIONS);
}

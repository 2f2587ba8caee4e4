// cSkip and cOut are c_skip(t) and c_out(t) of arXiv:2303.01469, equation 5.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectFunction, expectObject } from './errors';
import { expectAnswer } from './expect-tensor';
import { expectPositive } from './falling-levels';
import { type Schedule, timestepOfSigma } from './schedule';

export type ConsistencyOptions = {
  /** Standard deviation the data was taken to have in training. Default 0.5, that of published models. */
  readonly sigmaData?: number;
  /** Factor on the timestep. Default 10, that of published models. */
  readonly timestepScaling?: number;
};

/**
 * The boundary condition that a latent consistency model was trained with: `cOut(t) * x0 + cSkip(t) * xT`, which at timestep 0 is
 * the input itself. From timestep 20 on it changes a result by less than 1e-5.
 *
 * @param denoiser The network, as from `denoiserFromModel`.
 * @throws SamplerError for an option that is no number above 0; the denoiser throws if sigma lies outside the schedule, or
 *   the wrapped one's answer is not float32 of the shape of `x`.
 * @see arXiv:2310.04378, section 4.1, and its published code for `timestepScaling`.
 */
export function consistencyDenoiser<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  schedule: Schedule,
  options: ConsistencyOptions = {},
): Denoiser<T> {
  const where = 'consistencyDenoiser';
  expectObject(where, 'options', options);
  const { sigmaData = 0.5, timestepScaling = 10 } = options;
  expectFunction(where, 'denoiser', denoiser, '(x, sigma, step) => x0');
  expectPositive(where, 'sigmaData', sigmaData);
  expectPositive(where, 'timestepScaling', timestepScaling);
  return (x, sigma, step) => {
    const scaled = timestepScaling * timestepOfSigma(schedule, sigma);
    const alpha = 1 / Math.sqrt(1 + sigma * sigma); // sqrt(alphaCumprod): xT is x * alpha
    const cSkip = sigmaData ** 2 / (scaled ** 2 + sigmaData ** 2);
    const cOut = scaled / Math.hypot(scaled, sigmaData);
    return tf.tidy(() => {
      const x0 = expectAnswer(where, 'the denoiser', denoiser(x, sigma, step), x.shape, sigma, step);
      return tf.add<T>(tf.mul(x0, cOut), tf.mul(x, cSkip * alpha));
    });
  };
}

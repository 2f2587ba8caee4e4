import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectOneOf } from './errors';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

const VARIANCES: readonly DdpmVariance[] = ['posterior', 'beta'];

/** Variance of a DDPM step: that of the true posterior ("fixed small"), or beta itself ("fixed large"). */
export type DdpmVariance = 'posterior' | 'beta';

export type DdpmOptions = SampleOptions & {
  /** Default 'posterior'. */
  readonly variance?: DdpmVariance;
};

/**
 * DDPM, ancestral sampling: one network call and one draw of noise per step; `options.noise` is needed.
 *
 * Over the whole schedule it is the published method; over fewer steps each step is the posterior between the two
 * levels it joins.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2006.11239, equations 6 and 7, divided by sqrt(alphaCumprodNext).
 */
export async function sampleDdpm<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DdpmOptions = {},
): Promise<T> {
  return lastState(runSolver(ddpm, 'sampleDdpm', denoiser, xT, sigmas, options));
}

/** `sampleDdpm` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDdpm<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DdpmOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(ddpm, 'iterateDdpm', denoiser, xT, sigmas, options);
}

function ddpm(name: string, { variance = 'posterior' }: DdpmOptions): Solver {
  expectOneOf(name, 'variance', variance, VARIANCES);
  return {
    settings: { variance },
    needsNoise: 'DDPM',
    step({ x }, { sigma, sigmaNext, denoise, noise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const ratio = sigmaNext ** 2 / sigma ** 2;
      const mean = tf.add(tf.mul(x0, 1 - ratio), tf.mul(x, ratio));
      const added = sigma ** 2 - sigmaNext ** 2; // variance the forward process adds between the two levels
      const spread = variance === 'posterior' ? ratio * added : (added * (1 + sigmaNext ** 2)) / (1 + sigma ** 2);
      return { x: tf.add(mean, tf.mul(noise(), Math.sqrt(spread))), x0, memory: [] };
    },
  };
}

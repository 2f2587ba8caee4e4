import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

/**
 * LCM, multistep consistency sampling: predict x0, noise it anew to the next level, and so on. For networks distilled to see the end
 * of the path from anywhere on it (consistency models), in 1 to 8 steps; with an ordinary one, results lose variety.
 *
 * One network call per step; one draw of noise in each but the last, so `options.noise` is needed. With a perfect consistency model
 * the law is right after any number of steps; there is no order to speak of. A published latent consistency model is
 * wrapped by `consistencyDenoiser`.
 *
 * @param denoiser Predicts the end of the path; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2303.01469, algorithm 1, with its epsilon 0; arXiv:2310.04378, algorithm 3.
 */
export async function sampleLcm<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: SampleOptions = {},
): Promise<T> {
  return lastState(runSolver(lcm, 'sampleLcm', denoiser, xT, sigmas, options));
}

/** `sampleLcm` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateLcm<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: SampleOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(lcm, 'iterateLcm', denoiser, xT, sigmas, options);
}

function lcm(): Solver {
  return {
    needsNoise: 'LCM',
    step({ x }, { sigma, sigmaNext, denoise, noise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      return { x: tf.add(x0, tf.mul(noise(), sigmaNext)), x0, memory: [] };
    },
  };
}

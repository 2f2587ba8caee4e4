import * as tf from '@tensorflow/tfjs-core';
import { ancestralSigmas } from './ancestral';
import { ancestralOptions, type AncestralOptions } from './ancestral-options';
import type { Denoiser } from './denoiser';
import { lastState, runSolver, type SamplingStep, type Solver } from './solver';

/**
 * Euler ancestral: an Euler step of the probability-flow ODE to below the next level, then fresh noise up to it.
 *
 * One network call per step; one draw of noise in each but the last; first order (its law, and at `eta` 0 its path). With `sNoise` 1
 * it is DDIM of the same `eta`, and so by default DDPM: the name under which those are known where sigmas are.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @param options `eta` from 0 to 1, default 1; `sNoise`, default 1; `noise` is needed unless one of them is 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2010.02502, equation 16, divided by sqrt(alphaCumprodNext); k-diffusion's `sample_euler_ancestral`.
 */
export async function sampleEulerAncestral<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: AncestralOptions = {},
): Promise<T> {
  return lastState(runSolver(eulerAncestral, 'sampleEulerAncestral', denoiser, xT, sigmas, options));
}

/** `sampleEulerAncestral` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateEulerAncestral<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: AncestralOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(eulerAncestral, 'iterateEulerAncestral', denoiser, xT, sigmas, options);
}

function eulerAncestral(name: string, options: AncestralOptions): Solver {
  const { eta, sNoise, needs } = ancestralOptions(name, options, 1);
  return {
    settings: { eta, sNoise },
    ...needs,
    step({ x }, { sigma, sigmaNext, denoise, noise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const { sigmaDown, sigmaUp } = ancestralSigmas(sigma, sigmaNext, eta);
      const keep = sigmaDown / sigma;
      const down = tf.add(tf.mul(x0, 1 - keep), tf.mul(x, keep));
      const spread = sNoise * sigmaUp;
      return { x: spread > 0 ? tf.add(down, tf.mul(noise(), spread)) : down, x0, memory: [] };
    },
  };
}

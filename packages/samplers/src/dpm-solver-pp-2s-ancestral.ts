// lambda is -log(sigma), half the log signal-to-noise ratio; h is its growth over the way down.
import * as tf from '@tensorflow/tfjs-core';
import { ancestralSigmas } from './ancestral';
import { ancestralOptions, type AncestralOptions } from './ancestral-options';
import type { Denoiser } from './denoiser';
import { lineToX0 } from './line-to-x0';
import { lastState, runSolver, type SamplingStep, type Solver } from './solver';

/**
 * DPM-Solver++ 2S ancestral: a second-order step of the ODE to below the next level, then fresh noise up to it.
 *
 * Two network calls per step, at `sigma` and at `sqrt(sigma * sigmaDown)` (see `ancestralSigmas`), never below `sigmaNext` and at
 * `eta` 1 just there; one in the step to sigma 0, which returns its prediction: 2 S - 1 in all
 * (2 S where the list ends above 0). One draw of noise in each step but
 * the last. Its law is of second order, since the ODE is followed to `sigmaDown` with second order and the noise added there is exact. At
 * `eta` 0 it is DPM-Solver++ 2S, deterministic.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @param options `eta` from 0 to 1, default 1; `sNoise`, default 1; `noise` is needed unless one of them is 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2211.01095, algorithm 1 with r = 1/2, divided by alpha_t; k-diffusion's `sample_dpmpp_2s_ancestral`.
 */
export async function sampleDpmSolverPp2sAncestral<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: AncestralOptions = {},
): Promise<T> {
  return lastState(runSolver(dpmSolverPp2sAncestral, 'sampleDpmSolverPp2sAncestral', denoiser, xT, sigmas, options));
}

/** `sampleDpmSolverPp2sAncestral` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDpmSolverPp2sAncestral<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: AncestralOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(dpmSolverPp2sAncestral, 'iterateDpmSolverPp2sAncestral', denoiser, xT, sigmas, options);
}

function dpmSolverPp2sAncestral(name: string, options: AncestralOptions): Solver {
  const { eta, sNoise, needs } = ancestralOptions(name, options, 1);
  return {
    settings: { eta, sNoise },
    ...needs,
    step({ x }, { sigma, sigmaNext, denoise, noise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const { sigmaDown, sigmaUp } = ancestralSigmas(sigma, sigmaNext, eta);
      const middle = Math.sqrt(sigma * sigmaDown); // halfway in lambda
      const down = lineToX0(x, denoise(lineToX0(x, x0, middle / sigma), middle), sigmaDown / sigma);
      const spread = sNoise * sigmaUp;
      return { x: spread > 0 ? tf.add(down, tf.mul(noise(), spread)) : down, x0, memory: [] };
    },
  };
}

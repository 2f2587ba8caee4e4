// eps is the noise seen in x: (x - x0) / sigma, the slope dx / dsigma of the probability-flow ODE.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { heunStep } from './heun';
import { multistep } from './line-to-x0';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

/** Weights of the noise seen now and in the last steps, newest first: Adams-Bashforth of order 1 to 4. */
const WEIGHTS: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/**
 * PLMS, pseudo linear multistep: steps of DDIM without noise, with the noise seen drawn on from the last four predictions.
 * Deterministic; second order.
 *
 * One network call per step and one more in the first, which is taken by the improved Euler method: S + 1 in all. A single step to
 * sigma 0 is one call: its prediction. Made for 15 steps and more; two steps are worse than DDIM's.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0, as from
 *   `publishedSigmas`.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2202.09778, equations 9 and 12, with the first step of latent diffusion (arXiv:2112.10752).
 */
export async function samplePlms<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: SampleOptions = {},
): Promise<T> {
  return lastState(runSolver(plms, 'samplePlms', denoiser, xT, sigmas, options));
}

/** `samplePlms` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iteratePlms<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: SampleOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(plms, 'iteratePlms', denoiser, xT, sigmas, options);
}

function plms(): Solver {
  return {
    remembers: WEIGHTS.length - 1,
    step({ x, memory }, { sigma, sigmaNext, denoise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0 && memory.length === 0) return { x: x0, x0, memory: [] }; // no noise is seen at 0
      const eps = tf.div<tf.Tensor>(tf.sub(x, x0), sigma);
      if (memory.length === 0) return { x: heunStep(x, x0, sigma, sigmaNext, denoise), x0, memory: [eps] };
      const history = [eps, ...memory]; // newest first
      const weights = WEIGHTS[memory.length]!.map((weight) => (sigmaNext - sigma) * weight);
      const next = multistep(x, x0, history, weights, sigma, sigmaNext);
      return { x: next, x0, memory: history.slice(0, WEIGHTS.length - 1) };
    },
  };
}

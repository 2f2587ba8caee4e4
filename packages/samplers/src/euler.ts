import type * as tf from '@tensorflow/tfjs-core';
import { createChurn, type ChurnOptions } from './churn';
import type { Denoiser } from './denoiser';
import { lineToX0 } from './line-to-x0';
import { lastState, runSolver, type SamplingStep, type Solver } from './solver';

/**
 * Euler's method on the probability-flow ODE: one network call per step; first order; deterministic without `sChurn`.
 *
 * Without churn it is DDIM with eta 0, step by step. With it, the network is called at the raised level.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2206.00364, algorithm 2 without its second-order correction.
 */
export async function sampleEuler<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: ChurnOptions = {},
): Promise<T> {
  return lastState(runSolver(euler, 'sampleEuler', denoiser, xT, sigmas, options));
}

/** `sampleEuler` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateEuler<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: ChurnOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(euler, 'iterateEuler', denoiser, xT, sigmas, options);
}

function euler(name: string, options: ChurnOptions): Solver {
  const { churn, ...needs } = createChurn(name, options);
  return {
    ...needs,
    step(state, context) {
      const { sigmaNext, denoise } = context;
      const { x, sigma } = churn(state.x, context);
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      return { x: lineToX0(x, x0, sigmaNext / sigma), x0, memory: [] };
    },
  };
}

import * as tf from '@tensorflow/tfjs-core';
import { createChurn, type ChurnOptions } from './churn';
import type { Denoiser } from './denoiser';
import { lineToX0 } from './line-to-x0';
import { lastState, runSolver, type SamplingStep, type Solver } from './solver';

/**
 * DPM2, known as DPM-Solver-2: a midpoint method, with the middle in log sigma; second order; deterministic without `sChurn`.
 *
 * Two network calls per step, at its start and at `sqrt(sigma * sigmaNext)`, but one in a step to sigma 0, which has no such
 * middle: that step is Euler's, of first order. 2 S - 1 calls for S steps to 0, 2 S
 * where the list ends above. `x0` of a step is the prediction at its start.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2206.00927, algorithm 1, divided by alpha_t; with `sChurn` arXiv:2206.00364, algorithm 2.
 */
export async function sampleDpm2<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: ChurnOptions = {},
): Promise<T> {
  return lastState(runSolver(dpm2, 'sampleDpm2', denoiser, xT, sigmas, options));
}

/** `sampleDpm2` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDpm2<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: ChurnOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(dpm2, 'iterateDpm2', denoiser, xT, sigmas, options);
}

function dpm2(name: string, options: ChurnOptions): Solver {
  const { churn, ...needs } = createChurn(name, options);
  return {
    ...needs,
    step(state, context) {
      const { sigmaNext, denoise } = context;
      const { x, sigma } = churn(state.x, context);
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const sigmaMid = Math.sqrt(sigma * sigmaNext);
      const turn = tf.sub(denoise(lineToX0(x, x0, sigmaMid / sigma), sigmaMid), x0);
      const next = tf.add(lineToX0(x, x0, sigmaNext / sigma), tf.mul(turn, (sigma - sigmaNext) / sigmaMid));
      return { x: next, x0, memory: [] };
    },
  };
}

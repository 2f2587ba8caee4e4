import * as tf from '@tensorflow/tfjs-core';
import { createChurn, type ChurnOptions } from './churn';
import type { Denoiser } from './denoiser';
import { lineToX0 } from './line-to-x0';
import { lastState, runSolver, type SamplingStep, type Solver, type SolverContext } from './solver';

/**
 * Heun's method on the probability-flow ODE, the sampler of Karras et al.: second order; deterministic without `sChurn`.
 *
 * Two network calls per step, at its start and at its end, but one in a step to sigma 0, where no noise is seen: that step is
 * Euler's, of first order. 2 S - 1 calls for S steps to 0, 2 S
 * where the list ends above. `x0` of a step is the prediction at its start.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2206.00364, algorithm 1, with `sChurn` algorithm 2.
 */
export async function sampleHeun<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: ChurnOptions = {},
): Promise<T> {
  return lastState(runSolver(heun, 'sampleHeun', denoiser, xT, sigmas, options));
}

/** `sampleHeun` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateHeun<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: ChurnOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(heun, 'iterateHeun', denoiser, xT, sigmas, options);
}

function heun(name: string, options: ChurnOptions): Solver {
  const { churn, ...needs } = createChurn(name, options);
  return {
    ...needs,
    step(state, context) {
      const { sigmaNext, denoise } = context;
      const { x, sigma } = churn(state.x, context);
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      return { x: heunStep(x, x0, sigma, sigmaNext, denoise), x0, memory: [] };
    },
  };
}

/**
 * Heun's step: the mean of the slopes `(x - x0) / sigma` at its start and at its end.
 *
 * @param x0 What is predicted for `x` at `sigma`.
 * @param sigmaNext Above 0.
 */
export function heunStep(
  x: tf.Tensor,
  x0: tf.Tensor,
  sigma: number,
  sigmaNext: number,
  denoise: SolverContext['denoise'],
): tf.Tensor {
  const ahead = lineToX0(x, x0, sigmaNext / sigma);
  const turn = tf.sub(denoise(ahead, sigmaNext), x0);
  return tf.add(ahead, tf.mul(turn, (sigma / sigmaNext - 1) / 2));
}

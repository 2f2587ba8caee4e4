// lambda is -log(sigma), half the log signal-to-noise ratio; h is its growth over a step.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectNumber } from './errors';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

export type DpmSolverPp2mOptions = SampleOptions & {
  /** 2, the default, looks back on the last prediction; 1 does not, and is DDIM with eta 0. */
  readonly order?: 1 | 2;
};

/**
 * DPM-Solver++ 2M: one network call per step; second order; deterministic. Good pictures from 15 to 25 steps.
 *
 * The first step has nothing to look back on and the last ends at sigma 0, where lambda is infinite: both are of first
 * order.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2211.01095, algorithm 2, divided by alpha_t.
 */
export async function sampleDpmSolverPp2m<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DpmSolverPp2mOptions = {},
): Promise<T> {
  return lastState(runSolver(dpmSolverPp2m, 'sampleDpmSolverPp2m', denoiser, xT, sigmas, options));
}

/** `sampleDpmSolverPp2m` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDpmSolverPp2m<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DpmSolverPp2mOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(dpmSolverPp2m, 'iterateDpmSolverPp2m', denoiser, xT, sigmas, options);
}

function dpmSolverPp2m(name: string, { order = 2 }: DpmSolverPp2mOptions): Solver {
  expectNumber(name, 'order', order, (value) => [1, 2].includes(value), '1 or 2');
  return {
    settings: { order },
    remembers: 1,
    step({ x, memory }, { index, sigmas, sigma, sigmaNext, denoise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const h = Math.log(sigma / sigmaNext);
      const [x0Before] = memory;
      let target = x0; // x0 as it will be halfway through the step, drawn on from the last two predictions
      if (order === 2 && x0Before) {
        const ahead = h / (2 * Math.log(sigmas[index - 1]! / sigma));
        target = tf.add(tf.mul(x0, 1 + ahead), tf.mul(x0Before, -ahead));
      }
      const next = tf.sub(tf.mul(x, sigmaNext / sigma), tf.mul(target, Math.expm1(-h)));
      return { x: next, x0, memory: [x0] };
    },
  };
}

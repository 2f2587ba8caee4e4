// lambda is -log(sigma), half the log signal-to-noise ratio; h is its growth over a step, hEta = (1 + eta) h.
import * as tf from '@tensorflow/tfjs-core';
import { ancestralOptions, type AncestralOptions } from './ancestral-options';
import type { Denoiser } from './denoiser';
import { expectOneOf } from './errors';
import { lastState, runSolver, type SamplingStep, type Solver } from './solver';

/** How the slope of x0 enters: by its value halfway through the step, or integrated over the step. */
export type DpmSolverType = 'midpoint' | 'heun';

export type DpmSolverPp2mSdeOptions = AncestralOptions & {
  /** Default 'midpoint'. */
  readonly solverType?: DpmSolverType;
};

const SOLVER_TYPES: readonly DpmSolverType[] = ['midpoint', 'heun'];

/**
 * DPM-Solver++ 2M SDE: the reverse SDE, its drift drawn on from the last two predictions.
 *
 * One network call per step; one draw of noise in each but the last. Its law is of second order; the first step, which has nothing
 * to look back on, and the last, which ends at sigma 0, where lambda is infinite, are of first. At `eta` 0 it is deterministic,
 * and with 'midpoint' DPM-Solver++ 2M.
 *
 * Each step has noise of its own, drawn per item and step. k-diffusion takes it from a Brownian tree, so that runs of different
 * step counts share a path and so a picture; here they share the seed's start only.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @param options `eta` from 0, default 1; `sNoise`, default 1; `solverType`; `noise` is needed unless `eta` or `sNoise` is 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2211.01095, SDE-DPM-Solver++(2M), divided by alpha_t; `eta` as in k-diffusion's `sample_dpmpp_2m_sde`.
 */
export async function sampleDpmSolverPp2mSde<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DpmSolverPp2mSdeOptions = {},
): Promise<T> {
  return lastState(runSolver(dpmSolverPp2mSde, 'sampleDpmSolverPp2mSde', denoiser, xT, sigmas, options));
}

/** `sampleDpmSolverPp2mSde` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDpmSolverPp2mSde<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DpmSolverPp2mSdeOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(dpmSolverPp2mSde, 'iterateDpmSolverPp2mSde', denoiser, xT, sigmas, options);
}

function dpmSolverPp2mSde(name: string, options: DpmSolverPp2mSdeOptions): Solver {
  const { solverType = 'midpoint' } = options;
  const { eta, sNoise, needs } = ancestralOptions(name, options, Infinity);
  expectOneOf(name, 'solverType', solverType, SOLVER_TYPES);
  return {
    settings: { eta, sNoise, solverType },
    remembers: 1,
    ...needs,
    step({ x, memory }, { index, sigmas, sigma, sigmaNext, denoise, noise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const h = Math.log(sigma / sigmaNext);
      const hEta = (1 + eta) * h;
      const pull = -Math.expm1(-hEta); // share of x0 in the next state
      const terms = [tf.mul(x, 1 - pull), tf.mul(x0, pull)];
      const [x0Before] = memory;
      if (x0Before) {
        const ahead = h / Math.log(sigmas[index - 1]! / sigma); // as far as the last step was long
        const weight = ahead * (solverType === 'midpoint' ? pull / 2 : 1 - pull / hEta);
        terms.push(tf.mul(tf.sub(x0, x0Before), weight));
      }
      const spread = sNoise * sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h));
      if (spread > 0) terms.push(tf.mul(noise(), spread));
      return { x: tf.addN(terms), x0, memory: [x0] };
    },
  };
}

// eps is the noise seen in x: (x - x0) / sigma, the slope dx / dsigma of the probability-flow ODE.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectNumber } from './errors';
import { multistep } from './line-to-x0';
import { exponentialMoment, polynomialWeights } from './quadrature';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

export type DeisOptions = SampleOptions & {
  /** How many predictions are drawn on. Default 3; 1 is DDIM with eta 0. */
  readonly order?: 1 | 2 | 3;
};

/**
 * DEIS, diffusion exponential integrator: the noise seen in the last `order` predictions, drawn on as a polynomial in log sigma
 * (log-rho, in the paper's words) and integrated over sigma exactly. One network call per step; deterministic.
 *
 * The rule has order `order`. The first step is DDIM's, and the next have little to look back on: from a level where x0 already
 * takes shape the whole is of second order in the end. The last step to sigma 0, where log sigma is infinite, is of first order.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2204.13902, its Adams-Bashforth method with polynomials in log rho; rho is our sigma.
 */
export async function sampleDeis<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DeisOptions = {},
): Promise<T> {
  return lastState(runSolver(deis, 'sampleDeis', denoiser, xT, sigmas, options));
}

/** `sampleDeis` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDeis<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DeisOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(deis, 'iterateDeis', denoiser, xT, sigmas, options);
}

function deis(name: string, { order = 3 }: DeisOptions): Solver {
  expectNumber(name, 'order', order, (value) => [1, 2, 3].includes(value), '1, 2 or 3');
  return {
    settings: { order },
    remembers: order - 1,
    step({ x, memory }, { index, sigmas, sigma, sigmaNext, denoise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const history = [tf.div<tf.Tensor>(tf.sub(x, x0), sigma), ...memory]; // of eps, newest first
      const h = Math.log(sigma / sigmaNext);
      const nodes = history.map((_, back) => Math.log(sigma / sigmas[index - back]!) / h); // the step goes from 0 to 1
      // Integrals over sigma of 1, v, v^2 for v the way done in log sigma.
      const moments = history.map((_, power) => -h * sigmaNext * exponentialMoment(power, h));
      const weights = polynomialWeights(nodes, moments);
      const next = multistep(x, x0, history, weights, sigma, sigmaNext);
      return { x: next, x0, memory: history.slice(0, order - 1) };
    },
  };
}

// eps is the noise seen in x: (x - x0) / sigma, the slope dx / dsigma of the probability-flow ODE.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectNumber } from './errors';
import { multistep } from './line-to-x0';
import { polynomialWeights } from './quadrature';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

export type LmsOptions = SampleOptions & {
  /** How many predictions are drawn on. Default 4; 1 is Euler's method. */
  readonly order?: 1 | 2 | 3 | 4;
};

/**
 * LMS, linear multistep: the noise seen in the last `order` predictions, drawn on as a polynomial in sigma and integrated exactly
 * (Adams-Bashforth for uneven steps). One network call per step; deterministic.
 *
 * The rule has order `order`, in the last step to sigma 0, too, since nothing here takes a logarithm. The first step is
 * Euler's, and the next have little to look back on: so from a level where x0 already takes shape the whole is of second order
 * in the end. From high noise, where those steps hardly matter, order 3 and 4 are what is measured. A single step to 0 is its
 * prediction.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2206.00364, equations 1 and 3 with sigma(t) = t, by the Adams-Bashforth method; k-diffusion's LMS.
 */
export async function sampleLms<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: LmsOptions = {},
): Promise<T> {
  return lastState(runSolver(lms, 'sampleLms', denoiser, xT, sigmas, options));
}

/** `sampleLms` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateLms<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: LmsOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(lms, 'iterateLms', denoiser, xT, sigmas, options);
}

function lms(name: string, { order = 4 }: LmsOptions): Solver {
  expectNumber(name, 'order', order, (value) => [1, 2, 3, 4].includes(value), '1, 2, 3 or 4');
  return {
    settings: { order },
    remembers: order - 1,
    step({ x, memory }, { index, sigmas, sigma, sigmaNext, denoise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0 && (order === 1 || memory.length === 0)) return { x: x0, x0, memory: [] };
      const history = [tf.div<tf.Tensor>(tf.sub(x, x0), sigma), ...memory]; // of eps, newest first
      const step = sigmaNext - sigma;
      const nodes = history.map((_, back) => (sigmas[index - back]! - sigma) / step); // the step goes from 0 to 1
      const weights = polynomialWeights(nodes, [1, 1 / 2, 1 / 3, 1 / 4]); // integrals of 1, v, v^2, v^3
      const scaled = weights.map((weight) => step * weight);
      const next = multistep(x, x0, history, scaled, sigma, sigmaNext);
      return { x: next, x0, memory: history.slice(0, order - 1) };
    },
  };
}

import * as tf from '@tensorflow/tfjs-core';
import { ancestralSigmas } from './ancestral';
import type { Denoiser } from './denoiser';
import { expectNumber } from './errors';
import { lineToX0 } from './line-to-x0';
import { lastState, runSolver, type SampleOptions, type SamplingStep, type Solver } from './solver';

export type DdimOptions = SampleOptions & {
  /** 0, the default, is deterministic; 1 draws as much noise as DDPM. */
  readonly eta?: number;
};

/**
 * DDIM: one network call per step; first order; deterministic at `eta` 0.
 *
 * In the sigma convention: `x = x0 + (sigmaDown / sigma) * (x - x0) + sigmaUp * noise`, with `ancestralSigmas`.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0. The published
 *   sampler is `eta` 1 on `publishedSigmas`.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2010.02502, equations 12 and 16.
 */
export async function sampleDdim<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DdimOptions = {},
): Promise<T> {
  return lastState(runSolver(ddim, 'sampleDdim', denoiser, xT, sigmas, options));
}

/** `sampleDdim` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDdim<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: DdimOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(ddim, 'iterateDdim', denoiser, xT, sigmas, options);
}

function ddim(name: string, { eta = 0 }: DdimOptions): Solver {
  expectNumber(name, 'eta', eta, (value) => value >= 0 && value <= 1, 'a number from 0 to 1');
  return {
    settings: { eta },
    ...(eta > 0 && { needsNoise: `eta ${eta}` }),
    step({ x }, { sigma, sigmaNext, denoise, noise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const { sigmaDown, sigmaUp } = ancestralSigmas(sigma, sigmaNext, eta);
      const down = lineToX0(x, x0, sigmaDown / sigma);
      return { x: sigmaUp > 0 ? tf.add(down, tf.mul(noise(), sigmaUp)) : down, x0, memory: [] };
    },
  };
}

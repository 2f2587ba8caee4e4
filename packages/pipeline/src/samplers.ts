import {
  sampleDdim,
  sampleDdpm,
  sampleDpmSolverPp2m,
  samplePlms,
  type Denoiser,
  type SampleOptions,
} from '@sgdiff/sampler';
import type * as tf from '@tensorflow/tfjs-core';
import { describe, RequestError } from './errors';

/** Samplers a request can name. */
export const SAMPLERS = ['dpm-solver++2m', 'ddim', 'ddpm', 'plms'] as const;
export type SamplerName = (typeof SAMPLERS)[number];

export function isSampler(name: string): name is SamplerName {
  return (SAMPLERS as readonly string[]).includes(name);
}

/** @throws RequestError naming the known ones. */
export function requireSampler(name: unknown): SamplerName {
  if (typeof name === 'string' && isSampler(name)) return name;
  throw new RequestError(`Unknown sampler ${describe(name)}, expected one of: ${SAMPLERS.join(', ')}.`);
}

/** Runs the sampler of that name; `eta` counts for DDIM alone. */
export function runSampler(
  name: SamplerName,
  denoiser: Denoiser<tf.Tensor4D>,
  xT: tf.Tensor4D,
  sigmas: ArrayLike<number>,
  options: SampleOptions & { readonly eta?: number },
): Promise<tf.Tensor4D> {
  const { eta, ...rest } = options;
  switch (name) {
    case 'dpm-solver++2m':
      return sampleDpmSolverPp2m(denoiser, xT, sigmas, rest);
    case 'ddim':
      return sampleDdim(denoiser, xT, sigmas, { ...rest, ...(eta === undefined ? {} : { eta }) });
    case 'ddpm':
      return sampleDdpm(denoiser, xT, sigmas, rest);
    case 'plms':
      return samplePlms(denoiser, xT, sigmas, rest);
  }
}

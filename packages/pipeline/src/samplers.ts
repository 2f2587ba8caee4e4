import {
  sampleDdim,
  sampleDdpm,
  sampleDeis,
  sampleDpm2,
  sampleDpmSolverPp2m,
  sampleDpmSolverPp2mSde,
  sampleDpmSolverPp2sAncestral,
  sampleDpmSolverPp3mSde,
  sampleEuler,
  sampleEulerAncestral,
  sampleHeun,
  sampleLcm,
  sampleLms,
  samplePlms,
  sampleUniPc,
  type Denoiser,
  type SampleOptions,
} from '@sgdiff/sampler';
import type * as tf from '@tensorflow/tfjs-core';
import { describe, RequestError } from './errors';

type SamplerOptions = SampleOptions & { readonly eta?: number };

type Sampler = {
  readonly run: (
    denoiser: Denoiser<tf.Tensor4D>,
    xT: tf.Tensor4D,
    sigmas: ArrayLike<number>,
    options: SamplerOptions,
  ) => Promise<tf.Tensor4D>;
  /** Network calls of a run of so many steps that ends at noise 0. */
  readonly calls: (steps: number) => number;
  /** What a request without an eta means; absent for a sampler that takes none. */
  readonly eta?: number;
};

const once: Sampler['calls'] = (steps) => steps;
const twiceButLast: Sampler['calls'] = (steps) => 2 * steps - 1;
const twiceAtFirst: Sampler['calls'] = (steps) => (steps === 1 ? 1 : steps + 1);

/** Every sampler that a request can name. A new one is an import and a line. */
const TABLE = {
  'dpm-solver++2m': { run: sampleDpmSolverPp2m, calls: once },
  ddim: { run: sampleDdim, calls: once, eta: 0 },
  ddpm: { run: sampleDdpm, calls: once },
  plms: { run: samplePlms, calls: twiceAtFirst },
  euler: { run: sampleEuler, calls: once },
  'euler-ancestral': { run: sampleEulerAncestral, calls: once, eta: 1 },
  heun: { run: sampleHeun, calls: twiceButLast },
  dpm2: { run: sampleDpm2, calls: twiceButLast },
  lms: { run: sampleLms, calls: once },
  'dpm-solver++2m-sde': { run: sampleDpmSolverPp2mSde, calls: once, eta: 1 },
  'dpm-solver++3m-sde': { run: sampleDpmSolverPp3mSde, calls: once, eta: 1 },
  'dpm-solver++2s-ancestral': { run: sampleDpmSolverPp2sAncestral, calls: twiceButLast, eta: 1 },
  unipc: { run: sampleUniPc, calls: once },
  deis: { run: sampleDeis, calls: once },
  lcm: { run: sampleLcm, calls: once },
} satisfies Record<string, Sampler>;

export type SamplerName = keyof typeof TABLE;

/** Samplers a request can name. */
export const SAMPLERS = Object.keys(TABLE) as readonly SamplerName[];

export function isSampler(name: string): name is SamplerName {
  return Object.hasOwn(TABLE, name);
}

/** @throws RequestError naming the known ones. */
export function requireSampler(name: unknown): SamplerName {
  if (typeof name === 'string' && isSampler(name)) return name;
  throw new RequestError(`Unknown sampler ${describe(name)}, expected one of: ${SAMPLERS.join(', ')}.`);
}

/** Noise of that sampler unless a request says otherwise; undefined if it takes no `eta`. */
export function usualEta(name: SamplerName): number | undefined {
  return (TABLE[name] as Sampler).eta;
}

/** How often a picture in so many steps asks the network, for a run that ends at noise 0 (every spacing but `published`). */
export function networkCalls(name: SamplerName, steps: number): number {
  return TABLE[name].calls(steps);
}

/** Runs the sampler of that name; `eta` counts for those that take one. */
export function runSampler(
  name: SamplerName,
  denoiser: Denoiser<tf.Tensor4D>,
  xT: tf.Tensor4D,
  sigmas: ArrayLike<number>,
  { eta, ...options }: SamplerOptions,
): Promise<tf.Tensor4D> {
  const { run, eta: usual } = TABLE[name] as Sampler;
  return run(denoiser, xT, sigmas, { ...options, ...(usual === undefined ? {} : { eta: eta ?? usual }) });
}

// Every sampler of the package, for the tests that run over all of them. A new one is an import and a line in `SOLVERS`.
import {
  ancestralSigmas,
  iterateDdim,
  iterateDdpm,
  iterateDeis,
  iterateDpm2,
  iterateDpmSolverPp2m,
  iterateDpmSolverPp2mSde,
  iterateDpmSolverPp2sAncestral,
  iterateDpmSolverPp3mSde,
  iterateEuler,
  iterateEulerAncestral,
  iterateHeun,
  iterateLcm,
  iterateLms,
  iteratePlms,
  iterateUniPc,
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
} from '../index';
import type { SamplerUnderTest } from './describe-sampler';

type Sample = SamplerUnderTest['sample'];
type Iterate = SamplerUnderTest['iterate'];
type Calls = NonNullable<SamplerUnderTest['callsOf']>;

/** A sampler with the options under test bound, and the levels of the network calls of a step. */
export type KnownSolver = {
  readonly name: string;
  /** The exported function, e.g. `sampleDdim`. */
  readonly exported: string;
  readonly sample: Sample;
  readonly iterate: Iterate;
  readonly callsOf: Calls;
};

/** One call per step, at its own level. */
const ONE: Calls = (index, sigmas) => [sigmas[index]!];

/** One call per step, and a second in every step but the one to 0, at a level between its own and the next. */
const TWO =
  (second: (sigma: number, sigmaNext: number) => number): Calls =>
  (index, sigmas) => {
    const [sigma, sigmaNext] = [sigmas[index]!, sigmas[index + 1]!];
    return sigmaNext > 0 ? [sigma, second(sigma, sigmaNext)] : [sigma];
  };

const MIDDLE = TWO((sigma, sigmaNext) => Math.sqrt(sigma * sigmaNext));
const ANCESTRAL_MIDDLE = TWO((sigma, sigmaNext) => Math.sqrt(sigma * ancestralSigmas(sigma, sigmaNext, 1).sigmaDown));
const NEXT = TWO((_, sigmaNext) => sigmaNext);
const NEXT_IN_FIRST: Calls = (index, sigmas) => (index === 0 ? NEXT : ONE)(index, sigmas);

/** Samplers that take their steps with another one, and so have tests of their own. */
export const WRAPPERS: readonly string[] = ['sampleImageToImage', 'sampleInpainting', 'sampleRestart'];

export const SOLVERS: readonly KnownSolver[] = [
  known('ddpm', sampleDdpm, iterateDdpm, ONE),
  known('ddim', sampleDdim, iterateDdim, ONE),
  known('ddim, eta 1', sampleDdim, iterateDdim, ONE, { eta: 1 }),
  known('plms', samplePlms, iteratePlms, NEXT_IN_FIRST),
  known('euler', sampleEuler, iterateEuler, ONE),
  known('euler ancestral', sampleEulerAncestral, iterateEulerAncestral, ONE),
  known('heun', sampleHeun, iterateHeun, NEXT),
  known('dpm2', sampleDpm2, iterateDpm2, MIDDLE),
  known('lms', sampleLms, iterateLms, ONE),
  known('dpm-solver++ 2m', sampleDpmSolverPp2m, iterateDpmSolverPp2m, ONE),
  known('dpm-solver++ 2m sde', sampleDpmSolverPp2mSde, iterateDpmSolverPp2mSde, ONE),
  known('dpm-solver++ 3m sde', sampleDpmSolverPp3mSde, iterateDpmSolverPp3mSde, ONE),
  known('dpm-solver++ 2s ancestral', sampleDpmSolverPp2sAncestral, iterateDpmSolverPp2sAncestral, ANCESTRAL_MIDDLE),
  known('unipc', sampleUniPc, iterateUniPc, ONE),
  known('unipc of order 3', sampleUniPc, iterateUniPc, ONE, { order: 3 }),
  known('deis', sampleDeis, iterateDeis, ONE),
  known('lcm', sampleLcm, iterateLcm, ONE),
];

function known(name: string, sample: Sample, iterate: Iterate, callsOf: Calls, bound: object = {}): KnownSolver {
  return {
    name,
    exported: sample.name,
    sample: (denoiser, xT, sigmas, options) => sample(denoiser, xT, sigmas, { ...options, ...bound }),
    iterate: (denoiser, xT, sigmas, options) => iterate(denoiser, xT, sigmas, { ...options, ...bound }),
    callsOf,
  };
}

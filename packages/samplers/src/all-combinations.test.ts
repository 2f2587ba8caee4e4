// That any noise schedule goes with any spacing, list of sigmas, prediction, solver and number of steps. B batch, D dimensions.
import * as tf from '@tensorflow/tfjs-core';
import { setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  betaSigmas,
  betaTimestepSigmas,
  createSchedule,
  denoiserFromModel,
  exponentialSigmas,
  initialNoise,
  karrasSigmas,
  perItemNoise,
  polyexponentialSigmas,
  publishedSigmas,
  resampledSigmas,
  samplingSigmas,
  samplingTimesteps,
  timestepOfSigma,
  type Prediction,
  type Schedule,
  type ScheduleKind,
  type StepSpacing,
} from './index';
import * as exported from './index';
import { SOLVERS, WRAPPERS, type KnownSolver } from './testing/solvers';

const KINDS: readonly ScheduleKind[] = ['linear', 'sqrt-linear', 'cosine', 'sigmoid'];
const SPACINGS: readonly StepSpacing[] = ['leading', 'trailing', 'linspace'];
/** And that of published latent diffusion, which takes more steps than asked at times, or cannot, and ends above 0. */
type Spacing = StepSpacing | 'published';
const PREDICTIONS: readonly Prediction[] = ['eps', 'v', 'x0'];
const STEPS = [...Array.from({ length: 100 }, (_, i) => i + 1), 1000];

const SCHEDULES = KINDS.flatMap((kind) =>
  [false, true].map((zeroTerminalSnr) => ({
    name: zeroTerminalSnr ? `${kind}, zero terminal SNR` : kind,
    zeroTerminalSnr,
    schedule: createSchedule({ kind, timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195, zeroTerminalSnr }),
  })),
);

/** Lists of sigmas between the ends that a spacing gives. */
const LISTS: Readonly<Record<string, (spaced: Float64Array, schedule: Schedule) => Float64Array>> = {
  schedule: (spaced) => spaced,
  karras: (spaced, schedule) => karrasSigmas(...endsOf(spaced, schedule)),
  exponential: (spaced, schedule) => exponentialSigmas(...endsOf(spaced, schedule)),
  polyexponential: (spaced, schedule) => polyexponentialSigmas(...endsOf(spaced, schedule), 1.5),
  beta: (spaced, schedule) => betaSigmas(...endsOf(spaced, schedule)),
  'beta timesteps': (spaced, schedule) => betaTimestepSigmas(schedule, spaced.length - 1),
  // As a caller would bring it: a few levels, drawn out to the number of steps.
  given(spaced, schedule) {
    const [sigmaMin, sigmaMax, steps] = endsOf(spaced, schedule);
    const few = sigmaMin < sigmaMax ? karrasSigmas(sigmaMin, sigmaMax, 10, 3) : [sigmaMax, 0];
    return resampledSigmas(few, steps);
  },
};

/** The lowest and the highest level, and the number of steps. A single step has one level, which may be the schedule's lowest. */
function endsOf(spaced: Float64Array, schedule: Schedule): [number, number, number] {
  const steps = spaced.length - 1;
  return [steps > 1 ? spaced[steps - 1]! : schedule.sigmas[0]!, spaced[0]!, steps];
}

/** Every combination but those with eps where eps tells nothing. */
const COMBINATIONS = SCHEDULES.flatMap((of) =>
  ([...SPACINGS, 'published'] satisfies Spacing[]).flatMap((spacing) =>
    (spacing === 'published' ? ['schedule'] : Object.keys(LISTS)).flatMap((list) =>
      PREDICTIONS.filter((prediction) => prediction !== 'eps' || !of.zeroTerminalSnr).map((prediction) => ({
        ...of,
        spacing,
        list,
        prediction,
      })),
    ),
  ),
);
type Combination = (typeof COMBINATIONS)[number];

function sigmasOf({ schedule, spacing, list }: Combination, steps: number): Float64Array {
  if (spacing === 'published') return publishedSigmas(schedule, publishedCount(schedule, steps));
  return LISTS[list]!(samplingSigmas(schedule, steps, { spacing }), schedule);
}

/** The next lower number of steps for which published latent diffusion does not crash. */
function publishedCount(schedule: Schedule, steps: number): number {
  for (let count = steps; count > 1; count--) {
    try {
      publishedSigmas(schedule, count);
      return count;
    } catch {
      // one less
    }
  }
  return 1;
}

/**
 * Throws if the list is not falling levels of the schedule, in float32 too, at times that fall in 64 bits, and its end.
 *
 * @returns How many of the times are the same as the one before in float32, as the network is given them.
 */
function expectLevels(sigmas: Float64Array, steps: number, end: number, schedule: Schedule, label: string): number {
  if (sigmas.length !== steps + 1 || sigmas[steps] !== end)
    throw new Error(`${label}: ${sigmas.length}, ${sigmas[steps]}`);
  let [before, timeBefore, repeated] = [Infinity, Infinity, 0];
  for (let i = 0; i < steps; i++) {
    const sigma = sigmas[i]!;
    const time = timestepOfSigma(schedule, sigma);
    if (!(Math.fround(sigma) < Math.fround(before) && sigma > 0 && time < timeBefore && time >= 0)) {
      throw new Error(`${label}: step ${i} from sigma ${before} to ${sigma}, time ${timeBefore} to ${time}`);
    }
    if (Math.fround(time) === Math.fround(timeBefore)) repeated++;
    [before, timeBefore] = [sigma, time];
  }
  return repeated;
}

/** Runs a solver and checks its network calls and its result. */
async function expectRuns(solver: KnownSolver, combination: Combination, steps: number): Promise<void> {
  const { schedule, prediction } = combination;
  const sigmas = sigmasOf(combination, steps);
  const taken = sigmas.length - 1;
  const label = [combination.name, combination.spacing, combination.list, prediction, solver.name, steps].join(' / ');
  const seen: number[] = [];
  const times: number[] = [];
  const inner = denoiserFromModel<tf.Tensor2D>(
    (xT, t) => (times.push(t.dataSync()[0]!), tf.tanh(tf.mul<tf.Tensor2D>(xT, 0.9))),
    schedule,
    prediction,
  );
  const noise = perItemNoise([steps]);
  const xT = initialNoise<tf.Rank.R2>(noise, [1, 2], sigmas);
  try {
    const y = await solver.sample((x, sigma, at) => (seen.push(sigma), inner(x, sigma, at)), xT, sigmas, {
      noise,
      keepNoise: combination.spacing === 'published',
    });
    const values = Array.from(y.dataSync());
    y.dispose();
    const documented = Array.from({ length: taken }, (_, index) => solver.callsOf(index, sigmas)).flat();
    const asTold =
      seen.length === documented.length && seen.every((sigma, i) => Math.abs(sigma - documented[i]!) <= 1e-9 * sigma);
    if (!asTold) throw new Error(`${label}: called at ${seen}, documented ${documented}`);
    // In float32, as the network gets them; in 64 bits they all differ (below).
    if (!times.every((time, i) => i === 0 || time <= times[i - 1]!)) throw new Error(`${label}: times ${times}`);
    if (!values.every(Number.isFinite)) throw new Error(`${label}: result ${values}`);
  } catch (cause) {
    throw new Error(label, { cause });
  } finally {
    xT.dispose();
  }
}

describe('all combinations', () => {
  beforeAll(() => setupBackend('cpu'));

  it('of schedule, spacing, list and 1 to 100 and 1000 steps: levels fall strictly to the end, times fall, no step has length 0', () => {
    const repeats: Record<string, number> = {};
    for (const combination of COMBINATIONS.filter(({ prediction }) => prediction === 'v')) {
      const { name, spacing, list, schedule } = combination;
      for (const steps of STEPS) {
        const sigmas = sigmasOf(combination, steps);
        const [taken, end] = spacing === 'published' ? [sigmas.length - 1, schedule.sigmas[0]!] : [steps, 0];
        const label = `${name} / ${spacing} / ${list} / ${steps}`;
        const repeated = expectLevels(sigmas, taken, end, schedule, label);
        if (repeated > 0) repeats[label] = repeated;
      }
    }
    // Levels all differ in float32. Times do, too, but for a few of 1000 steps of betaSigmas, at its dense end.
    expect(Object.keys(repeats).filter((label) => !label.endsWith('/ beta / 1000'))).toEqual([]);
    expect(Object.values(repeats).every((repeated) => repeated <= 7)).toBe(true);
    for (const { schedule } of SCHEDULES) {
      for (const spacing of SPACINGS) {
        for (const steps of STEPS) {
          const timesteps = samplingTimesteps(schedule, steps, { spacing });
          if (!timesteps.every((t, i) => i === 0 || t < timesteps[i - 1]!)) throw new Error(`${spacing} ${steps}`);
        }
      }
    }
  });

  it('are of all samplers that the package has, but for those that take their steps with another', () => {
    const names = Object.keys(exported).filter((name) => /^sample[A-Z]/.test(name) && !WRAPPERS.includes(name));
    expect([...new Set(SOLVERS.map((solver) => solver.exported))].sort()).toEqual(names.sort());
  });

  for (const solver of SOLVERS) {
    it(`with ${solver.name}: network calls as documented, finite results; each combination with a few steps`, async () => {
      for (const [i, combination] of COMBINATIONS.entries()) await expectRuns(solver, combination, 1 + ((i * 5) % 7));
    });

    it(`with ${solver.name}: so for any number of steps from 1 to 100, and for 1000`, async () => {
      const index = SOLVERS.indexOf(solver);
      await fc.assert(
        fc.asyncProperty(fc.nat(COMBINATIONS.length - 1), fc.integer({ min: 1, max: 100 }), (which, steps) =>
          expectRuns(solver, COMBINATIONS[which]!, steps),
        ),
        { numRuns: 20, seed: 100 + index },
      );
      await expectRuns(solver, COMBINATIONS[(index * 37) % COMBINATIONS.length]!, 1000);
    });
  }

  it('regression: eps prediction is refused with zero terminal SNR, in every such combination', () => {
    for (const { schedule, zeroTerminalSnr } of SCHEDULES) {
      const make = () => denoiserFromModel((x) => x, schedule, 'eps');
      if (zeroTerminalSnr) expect(make).toThrow(/^denoiserFromModel: expected prediction 'v' or 'x0'/);
      else expect(make).not.toThrow();
    }
  });
});

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { betaSigmas, betaTimestepSigmas } from './beta-sigmas';
import { samplingSigmas } from './sampling-steps';
import { createSchedule, timestepOfSigma, type ScheduleKind } from './schedule';
import { exponentialSigmas, karrasSigmas, polyexponentialSigmas, resampledSigmas } from './sigma-lists';

type Golden = {
  lists: { list: string; sigmaMin: number; sigmaMax: number; steps: number; sigmas: number[] }[];
  faults: { schedule: string; steps: number; differentTimesteps: number }[];
};

const golden = JSON.parse(
  readFileSync(new URL('../fixtures/schedules-and-lists.golden.json', import.meta.url), 'utf8'),
) as Golden;
const quantiles = JSON.parse(
  readFileSync(new URL('../fixtures/beta-quantiles.golden.json', import.meta.url), 'utf8'),
) as { cases: { alpha: number; beta: number; steps: number; quantiles: number[] }[] };

type List = (sigmaMin: number, sigmaMax: number, steps: number) => Float64Array;

/** One of each list, with settings; a given list is stretched to the ends. */
const LISTS: Record<string, List> = {
  karras: karrasSigmas,
  exponential: exponentialSigmas,
  polyexponential: (sigmaMin, sigmaMax, steps) => polyexponentialSigmas(sigmaMin, sigmaMax, steps, 1.6),
  beta: betaSigmas,
  'beta-skewed': (sigmaMin, sigmaMax, steps) => betaSigmas(sigmaMin, sigmaMax, steps, { alpha: 1.7, beta: 0.4 }),
};
const given: List = (sigmaMin, sigmaMax, steps) =>
  resampledSigmas(sigmaMin < sigmaMax ? [sigmaMax, Math.sqrt(sigmaMin * sigmaMax), sigmaMin] : [sigmaMax], steps);

function expectFalls(sigmas: Float64Array, steps: number): void {
  expect(sigmas).toHaveLength(steps + 1);
  expect(sigmas[steps]).toBe(0);
  for (let i = 1; i <= steps; i++)
    if (!(Math.fround(sigmas[i]!) < Math.fround(sigmas[i - 1]!))) throw new Error(`${i}: ${sigmas[i]}`);
}

describe('lists of sigmas', () => {
  for (const [name, list] of Object.entries(LISTS)) {
    it(`'${name}' agrees with the formulas of diffusers and k-diffusion in 64 bits`, () => {
      const cases = golden.lists.filter((row) => row.list === name);
      expect(cases).toHaveLength(10);
      for (const { sigmaMin, sigmaMax, steps, sigmas } of cases) {
        const ours = list(sigmaMin, sigmaMax, steps);
        [...sigmas, 0].forEach((want, i) =>
          expect(Math.abs(ours[i]! - want), `${name} ${steps} at ${i}: ${ours[i]}`).toBeLessThanOrEqual(1e-12 * want),
        );
      }
    });
  }

  it('start at sigmaMax and end at sigmaMin and 0, all three to the last bit', () => {
    for (const list of [...Object.values(LISTS), given]) {
      for (const steps of [2, 5, 100]) {
        const sigmas = list(0.1, 7.3, steps);
        expect([sigmas[0], sigmas[steps - 1], sigmas[steps]]).toEqual([7.3, 0.1, 0]);
      }
      expect(Array.from(list(0.1, 7.3, 1))).toEqual([7.3, 0]);
      expect(Array.from(list(7.3, 7.3, 1))).toEqual([7.3, 0]);
    }
  });

  it('fall strictly, as float32 too, for any ends and any number of steps', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(LISTS), given),
        fc.double({ min: 1e-4, max: 1, noNaN: true }),
        fc.double({ min: 1.5, max: 2e4, noNaN: true }),
        fc.integer({ min: 1, max: 1200 }),
        // The skewed one gets so dense at its top that beyond 100 steps float32 may not tell its levels apart.
        (list, sigmaMin, sigmaMax, steps) => {
          const count = list === LISTS['beta-skewed'] ? Math.min(steps, 100) : steps;
          expectFalls(list(sigmaMin, sigmaMax, count), count);
        },
      ),
      { numRuns: 150, seed: 4 },
    );
  });

  it('are special cases of each other: polyexponential of rho 1 is exponential, and Karras of a huge rho nearly', () => {
    const exponential = exponentialSigmas(0.05, 20, 12);
    expect(polyexponentialSigmas(0.05, 20, 12)).toEqual(exponential);
    expect(resampledSigmas([20, 0.05], 12).every((s, i) => Math.abs(s - exponential[i]!) <= 1e-13 * s)).toBe(true);
    karrasSigmas(0.05, 20, 12, 1e6).forEach((s, i) =>
      expect(Math.abs(s - exponential[i]!)).toBeLessThanOrEqual(1e-4 * s),
    );
  });

  it('of beta 1 and 1 are evenly spaced, and mirrored when alpha and beta change places', () => {
    betaSigmas(1, 5, 9, { alpha: 1, beta: 1 }).forEach((sigma, i) =>
      expect(sigma).toBeCloseTo(i < 9 ? 5 - i / 2 : 0, 12),
    );
    const one = betaSigmas(1, 5, 9, { alpha: 0.3, beta: 2 });
    const other = betaSigmas(1, 5, 9, { alpha: 2, beta: 0.3 });
    for (let i = 0; i < 9; i++) expect(one[i]! - 1).toBeCloseTo(5 - other[8 - i]!, 12);
  });

  it('resampled to their own length are themselves, and beyond it pass through their own entries', () => {
    const list = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]; // Align Your Steps
    expect(Array.from(resampledSigmas([...list, 0], 11))).toEqual([...list, 0]);
    expect(Array.from(resampledSigmas(list, 21)).filter((_, i) => i % 2 === 0 && i < 21)).toEqual(list);
    expect(resampledSigmas(list, 21)[1]).toBeCloseTo(Math.sqrt(14.615 * 6.475), 12);
  });

  it('regression, diffusers 6477: with Karras sigmas no step has length 0, the last included', () => {
    for (let steps = 1; steps <= 200; steps++) expectFalls(karrasSigmas(0.0292, 14.6146, steps), steps);
  });

  it('regression, diffusers 4122: 100 steps asked with Karras sigmas are 100 taken, at 100 timesteps', () => {
    const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
    expect(golden.faults).toContainEqual({ schedule: 'scaled_linear', steps: 100, differentTimesteps: 98 });
    expect(new Set(timestepsOf('sqrt-linear', 100)).size).toBe(100);
    expect(karrasSigmas(schedule.sigmas[0]!, schedule.sigmas[999]!, 100)).toHaveLength(101);
  });

  it('regression, diffusers 12771: on the cosine schedule no two steps are at the same timestep', () => {
    expect(golden.faults).toContainEqual({ schedule: 'squaredcos_cap_v2', steps: 20, differentTimesteps: 12 });
    for (const steps of [20, 100, 1000]) {
      const timesteps = timestepsOf('cosine', steps);
      for (let i = 1; i < steps; i++) expect(timesteps[i]).toBeLessThan(timesteps[i - 1]!);
    }
  });

  /** What a network is given: float32. */
  function timestepsOf(kind: ScheduleKind, steps: number): Float32Array {
    const schedule = createSchedule({ kind, timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
    const [first, last] = [samplingSigmas(schedule, 1)[0]!, schedule.sigmas[0]!];
    const sigmas = karrasSigmas(last, first, steps);
    return Float32Array.from(sigmas.subarray(0, steps), (sigma) => timestepOfSigma(schedule, sigma));
  }
});

describe('betaTimestepSigmas', () => {
  const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
  const times = (sigmas: Float64Array) =>
    Array.from(sigmas.subarray(0, -1), (sigma) => timestepOfSigma(schedule, sigma));

  it('is at the timesteps that scipy.stats.beta.ppf gives, unrounded', () => {
    expect(quantiles.cases).toHaveLength(9);
    for (const { alpha, beta, steps, quantiles: want } of quantiles.cases) {
      const found = times(betaTimestepSigmas(schedule, steps, { alpha, beta }));
      want.forEach((q, i) =>
        expect(Math.abs(found[i]! - 999 * q), `${alpha} ${beta} ${steps} ${i}`).toBeLessThan(1e-8),
      );
    }
    const [first] = quantiles.cases;
    expect([first!.alpha, first!.beta]).toEqual([0.6, 0.6]); // the default
    expect(betaTimestepSigmas(schedule, first!.steps)).toEqual(betaTimestepSigmas(schedule, first!.steps, first));
  });

  it('goes from the highest level of the schedule to its lowest and 0, falling, for any schedule, steps and parameters', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<ScheduleKind>('linear', 'sqrt-linear', 'cosine', 'sigmoid'),
        fc.boolean(),
        fc.integer({ min: 2, max: 1000 }),
        fc.integer({ min: 1, max: 100 }),
        fc.double({ min: 0.5, max: 3, noNaN: true }),
        fc.double({ min: 0.5, max: 3, noNaN: true }),
        (kind, zeroTerminalSnr, timesteps, steps, alpha, beta) => {
          const of = createSchedule({ kind, timesteps, betaStart: 0.0015, betaEnd: 0.0195, zeroTerminalSnr });
          const sigmas = betaTimestepSigmas(of, steps, { alpha, beta });
          expectFalls(sigmas, steps);
          expect(sigmas[0]).toBe(of.sigmas.at(-1));
          if (steps > 1) expect(sigmas[steps - 1]).toBe(of.sigmas[0]);
        },
      ),
      { numRuns: 100, seed: 6 },
    );
  });

  it('with 1 and 1 is even in timesteps, and mirrored when alpha and beta change places', () => {
    times(betaTimestepSigmas(schedule, 4, { alpha: 1, beta: 1 })).forEach((t, i) =>
      expect(t).toBeCloseTo(999 - 333 * i, 8),
    );
    const one = times(betaTimestepSigmas(schedule, 9, { alpha: 0.7, beta: 2 }));
    const other = times(betaTimestepSigmas(schedule, 9, { alpha: 2, beta: 0.7 }));
    one.forEach((t, i) => expect(t).toBeCloseTo(999 - other[8 - i]!, 8));
  });

  it('has levels in between, where the quantiles over sigma have none: 10 steps on the schedule of SGDiff', () => {
    const inBetween = (sigmas: Float64Array) => sigmas.filter((sigma) => sigma > 0.1 && sigma < 3).length;
    expect(inBetween(betaTimestepSigmas(schedule, 10))).toBe(4);
    expect(inBetween(betaSigmas(schedule.sigmas[0]!, schedule.sigmas.at(-1)!, 10))).toBe(0);
  });

  it('takes a schedule of one timestep, and refuses what is none', () => {
    const single = createSchedule({ kind: 'linear', timesteps: 1, betaStart: 0.5, betaEnd: 0.5 });
    expect(Array.from(betaTimestepSigmas(single, 1))).toEqual([1, 0]);
    expect(() => betaTimestepSigmas(single, 2)).toThrow('betaTimestepSigmas: expected 0 < sigmaMin < sigmaMax');
    expect(() => betaTimestepSigmas(undefined as never, 2)).toThrow(
      'betaTimestepSigmas: expected schedule to be an object, received undefined.',
    );
    expect(() => betaTimestepSigmas(schedule, 5, { alpha: 0 })).toThrow(
      'betaTimestepSigmas: expected alpha to be a finite number above 0, received 0.',
    );
    expect(() => betaTimestepSigmas(schedule, 0)).toThrow(
      'betaTimestepSigmas: expected steps to be a whole number from 1, received 0.',
    );
  });
});

describe('lists of sigmas, bad input', () => {
  it('rejects a step count that is no whole number from 1', () => {
    for (const [name, list] of Object.entries({ karrasSigmas, exponentialSigmas, polyexponentialSigmas, betaSigmas })) {
      for (const steps of [0, 1.5, -2, NaN, Infinity]) {
        expect(() => list(0.1, 10, steps)).toThrow(
          `${name}: expected steps to be a whole number from 1, received ${steps}.`,
        );
      }
    }
    expect(() => resampledSigmas([2, 1], 1.5)).toThrow(
      'resampledSigmas: expected steps to be a whole number from 1, received 1.5.',
    );
  });

  it('rejects ends that are not above 0, not finite or the wrong way round', () => {
    for (const [name, list] of Object.entries({ karrasSigmas, exponentialSigmas, polyexponentialSigmas, betaSigmas })) {
      for (const [sigmaMin, sigmaMax] of [
        [0, 1],
        [2, 1],
        [1, 1],
        [-1, 1],
        [1, Infinity],
        [NaN, 1],
        [1, NaN],
      ] as const) {
        expect(() => list(sigmaMin, sigmaMax, 3)).toThrow(
          `${name}: expected 0 < sigmaMin < sigmaMax, both finite, received sigmaMin ${sigmaMin} and sigmaMax ${sigmaMax}.`,
        );
      }
    }
  });

  it('rejects a rho, alpha or beta that is not above 0', () => {
    for (const bad of [0, -1, NaN, Infinity]) {
      const want = (where: string, what: string) =>
        `${where}: expected ${what} to be a finite number above 0, received ${bad}.`;
      expect(() => karrasSigmas(0.1, 1, 3, bad)).toThrow(want('karrasSigmas', 'rho'));
      expect(() => polyexponentialSigmas(0.1, 1, 3, bad)).toThrow(want('polyexponentialSigmas', 'rho'));
      expect(() => betaSigmas(0.1, 1, 3, { alpha: bad })).toThrow(want('betaSigmas', 'alpha'));
      expect(() => betaSigmas(0.1, 1, 3, { beta: bad })).toThrow(want('betaSigmas', 'beta'));
    }
  });

  it('rejects settings under which two levels are one number, rather than take a step of length 0', () => {
    expect(() => betaSigmas(0.1, 1, 5, { alpha: 0.001 })).toThrow(
      'betaSigmas: expected settings under which every step falls, received some that make sigmas[1] = 0.1 and then ' +
        'sigmas[2] = 0.1. Take fewer steps or a milder curve.',
    );
    expect(() => karrasSigmas(1, 1 + 2 ** -52, 5)).toThrow(/^karrasSigmas: expected settings under which every step/);
    expect(() => karrasSigmas(1, 1.0000001, 5)).toThrow(/^karrasSigmas: expected settings under which every step/); // in float32
    expect(karrasSigmas(1, 1.00001, 5)).toHaveLength(6);
  });

  it('rejects a given list that does not fall, or has no level above 0', () => {
    const want = (received: string) =>
      `resampledSigmas: expected at least one sigma above 0, and every one lower than the one before, received ${received}.`;
    expect(() => resampledSigmas([], 3)).toThrow(want('none'));
    expect(() => resampledSigmas([0], 3)).toThrow(want('none'));
    expect(() => resampledSigmas([3, 3, 1], 3)).toThrow(want('sigmas[1] = 3 after 3'));
    expect(() => resampledSigmas([3, 0, 0], 3)).toThrow(want('sigmas[1] = 0 after 3'));
    expect(() => resampledSigmas([Infinity, 1], 3)).toThrow(want('sigmas[0] = Infinity'));
    expect(() => resampledSigmas([3, NaN], 3)).toThrow(want('sigmas[1] = NaN after 3'));
  });

  it('cannot draw one level out to many', () => {
    expect(() => resampledSigmas([3, 0], 2)).toThrow(
      'resampledSigmas: expected 0 < sigmaMin < sigmaMax, both finite, received sigmaMin 3 and sigmaMax 3.',
    );
  });
});

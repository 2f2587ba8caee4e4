import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ancestralSigmas } from './ancestral';
import {
  createSchedule,
  scheduleFromBetas,
  timestepOfSigma,
  zeroTerminalSnr,
  type ScheduleConfig,
  type ScheduleKind,
} from './schedule';
import { samplingSigmas, samplingTimesteps, sigmasOfTimesteps, type StepSpacing } from './sampling-steps';

type Golden = {
  schedules: (ScheduleConfig & { at: number[]; betas: number[]; alphasCumprod: number[] })[];
  lists: { spacing: StepSpacing; steps: number; timesteps: number[] }[];
  checksums: Record<StepSpacing, number>;
  wrongCount: { spacing: StepSpacing; steps: number; taken: number }[];
  ddim: {
    steps: number;
    offset: number;
    rows: { index: number; t: number; alphaCumprod: number; alphaCumprodNext: number; sigma: number }[];
  };
};

type MoreGolden = {
  sigmoid: Golden['schedules'][number];
  zeroTerminalSnr: {
    kind: ScheduleKind;
    at: number[];
    betas: number[];
    alphasCumprod: number[];
    firstTwoSigmasOfEuler: number[];
  }[];
};

// Read here and not by the test kit, which would load a backend: nothing in this file needs a tensor.
const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8'));
const golden = read('schedules.golden.json') as Golden;
const more = read('schedules-and-lists.golden.json') as MoreGolden;

const SGDIFF = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
const KINDS: readonly ScheduleKind[] = ['linear', 'sqrt-linear', 'cosine', 'sigmoid'];
const SPACINGS: readonly StepSpacing[] = ['leading', 'trailing', 'linspace'];

function expectClose(received: number, expected: number, rtol: number): void {
  expect(Math.abs(received - expected), `${received} against ${expected}`).toBeLessThanOrEqual(
    rtol * Math.abs(expected),
  );
}

describe('createSchedule', () => {
  it('has the values of published SGDiff', () => {
    const { betas, alphasCumprod } = SGDIFF;
    expect(betas[0]).toBeCloseTo(0.0015, 16);
    expect(betas[999]).toBeCloseTo(0.0195, 16);
    const table = { 0: 0.9985, 1: 0.996994427, 499: 0.115844491, 999: 1.42303974e-4 };
    for (const [t, value] of Object.entries(table)) expectClose(alphasCumprod[Number(t)]!, value, 1e-8); // 9 digits
    expectClose(Math.sqrt(alphasCumprod[999]!), 0.011929123, 1e-8);
    expectClose(Math.sqrt(alphasCumprod[100]!), 0.907257977, 1e-9);
    expectClose(Math.sqrt(1 - alphasCumprod[100]!), 0.420574562, 2e-9);
    expectClose(Math.sqrt(alphasCumprod[500]!), 0.339001476, 2e-9);
    expectClose(Math.sqrt(1 - alphasCumprod[500]!), 0.940785841, 1e-9);
  });

  for (const { at, betas, alphasCumprod, ...config } of [...golden.schedules, more.sigmoid]) {
    it(`agrees with diffusers for '${config.kind}'`, () => {
      const schedule = createSchedule(config);
      at.forEach((t, i) => {
        expectClose(schedule.betas[t]!, betas[i]!, 1e-6); // theirs are float32
        // A product of t float32 factors. Above 0.999 the cosine's last beta leaves them only a few digits.
        expectClose(schedule.alphasCumprod[t]!, alphasCumprod[i]!, 5e-5);
      });
    });
  }

  it('has rising sigmas with sigma^2 = (1 - alphaCumprod) / alphaCumprod, for any kind and length', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...KINDS),
        fc.integer({ min: 1, max: 1500 }),
        fc.double({ min: 1e-5, max: 0.01, noNaN: true }),
        fc.double({ min: 0.01, max: 0.05, noNaN: true }),
        (kind, timesteps, betaStart, betaEnd) => {
          const { betas, alphasCumprod, sigmas, ...rest } = createSchedule({ kind, timesteps, betaStart, betaEnd });
          expect(rest).toEqual({ timesteps });
          expect([betas.length, alphasCumprod.length, sigmas.length]).toEqual([timesteps, timesteps, timesteps]);
          sigmas.forEach((sigma, t) => {
            if (t > 0 && !(sigma > sigmas[t - 1]!)) throw new Error(`sigmas do not rise at ${t}`);
            expectClose(1 / (1 + sigma * sigma), alphasCumprod[t]!, 1e-12);
          });
        },
      ),
      { numRuns: 40, seed: 1 },
    );
  });

  it('takes one timestep as well', () => {
    expect(Array.from(createSchedule({ kind: 'linear', timesteps: 1, betaStart: 0.1, betaEnd: 0.2 }).betas)).toEqual([
      0.1,
    ]);
  });

  it('rejects what is no schedule', () => {
    const base = { kind: 'linear', timesteps: 10, betaStart: 0.1, betaEnd: 0.2 } as const;
    expect(() => createSchedule({ ...base, kind: 'round' as 'linear' })).toThrow(
      "createSchedule: expected kind to be one of 'linear', 'sqrt-linear', 'cosine', 'sigmoid', received 'round'.",
    );
    for (const timesteps of [0, 1.5, -1, NaN]) {
      expect(() => createSchedule({ ...base, timesteps })).toThrow(
        `createSchedule: expected timesteps to be a whole number from 1, received ${timesteps}.`,
      );
    }
    expect(() => createSchedule({ kind: 'linear', timesteps: 10 })).toThrow(
      "createSchedule: expected 0 < betaStart <= betaEnd < 1 for a 'linear' schedule, " +
        'received betaStart undefined and betaEnd undefined.',
    );
    expect(() => createSchedule({ ...base, betaStart: 0.3 })).toThrow(/received betaStart 0.3 and betaEnd 0.2\.$/);
    expect(() => scheduleFromBetas([])).toThrow('scheduleFromBetas: expected at least one beta, received none.');
    expect(() => scheduleFromBetas([0.1, 1])).toThrow(
      'scheduleFromBetas: expected every beta above 0 and below 1, received betas[1] = 1.',
    );
  });
});

describe('scheduleFromBetas', () => {
  it('has sigmas to the last digits where hardly any noise has been added, and where hardly anything else is left', () => {
    expectClose(scheduleFromBetas([1e-17]).sigmas[0]!, Math.sqrt(1e-17), 1e-15);
    expectClose(scheduleFromBetas([1e-12, 1e-12]).sigmas[1]!, Math.sqrt(2e-12), 1e-11);
    expectClose(scheduleFromBetas([1e-9]).sigmas[0]!, Math.sqrt(1e-9 * (1 + 1e-9)), 1e-15);
    const half = scheduleFromBetas(Array(200).fill(0.5)); // alphaCumprod is 2^-(t + 1)
    half.sigmas.forEach((sigma, t) => expectClose(sigma, Math.sqrt(2 ** (t + 1) - 1), 1e-13));
    expect(scheduleFromBetas([1e-17, 1e-17]).sigmas[0]).toBeLessThan(scheduleFromBetas([1e-17, 1e-17]).sigmas[1]!);
  });

  it('keeps alphasCumprod the plain product', () => {
    let product = 1;
    SGDIFF.betas.forEach((beta, t) => expect(SGDIFF.alphasCumprod[t]).toBe((product *= 1 - beta)));
  });

  it('refuses betas that leave nothing of the data, rather than give sigmas that are infinite or NaN', () => {
    expect(() => scheduleFromBetas(Array(1080).fill(0.5))).toThrow(
      /^scheduleFromBetas: expected betas under which sigmas stay finite in float32, received betas that leave 8\.\d+e-78 of the data's variance at t = 255\. Take smaller or fewer ones\.$/,
    );
    expect(() => scheduleFromBetas(undefined as never)).toThrow(
      'scheduleFromBetas: expected betas to be a list, received undefined.',
    );
    expect(() => scheduleFromBetas(['0.5'] as never)).toThrow(
      "scheduleFromBetas: expected every beta above 0 and below 1, received betas[0] = '0.5'.",
    );
  });
});

describe('zeroTerminalSnr', () => {
  const of = (kind: ScheduleKind, zero = true) =>
    createSchedule({ kind, timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195, zeroTerminalSnr: zero });

  for (const { kind, at, betas, alphasCumprod } of more.zeroTerminalSnr) {
    it(`agrees with diffusers in 64 bits for '${kind}'`, () => {
      const schedule = of(kind);
      at.forEach((t, i) => {
        expectClose(schedule.betas[t]!, betas[i]!, 1e-11); // 1 - a ratio near 1
        expectClose(schedule.alphasCumprod[t]!, alphasCumprod[i]!, 1e-11);
      });
    });
  }

  it('ends in pure noise, to the last bit, and keeps the first level', () => {
    for (const kind of KINDS) {
      const [before, after] = [of(kind, false), of(kind)];
      expect(after).toEqual(zeroTerminalSnr(before));
      expect([after.alphasCumprod[999], after.betas[999]]).toEqual([0, 1]);
      expect([after.alphasCumprod[0], after.sigmas[0]]).toEqual([before.alphasCumprod[0], before.sigmas[0]]);
      expect(zeroTerminalSnr(after)).toEqual(after); // once is enough
    }
  });

  it('regression: has sigmas that rise to the end and are finite, also where those of diffusers fall back at the last', () => {
    for (const { kind, firstTwoSigmasOfEuler } of more.zeroTerminalSnr) {
      expect(firstTwoSigmasOfEuler[0]).toBe(4096);
      expect(firstTwoSigmasOfEuler[1]).toBeGreaterThan(8000); // so their run's first step goes up
      expect(of(kind).sigmas[999]).toBe(2 * of(kind).sigmas[998]!);
    }
    expect(of('cosine').sigmas[999]).toBe(Math.sqrt(2 ** 24 - 1)); // 660 before it
    for (const kind of KINDS) {
      const { sigmas, alphasCumprod } = of(kind);
      sigmas.forEach((sigma, t) => {
        if (t > 0 && !(sigma > sigmas[t - 1]! && Number.isFinite(sigma))) throw new Error(`${kind}: ${sigma} at ${t}`);
        if (t < 999) expectClose(1 / (1 + sigma * sigma), alphasCumprod[t]!, 1e-12);
      });
    }
  });

  it('needs two timesteps', () => {
    expect(() => zeroTerminalSnr(scheduleFromBetas([0.1]))).toThrow(
      'zeroTerminalSnr: expected a schedule of at least 2 timesteps, received 1.',
    );
    expect(Array.from(zeroTerminalSnr(scheduleFromBetas([0.1, 0.2])).alphasCumprod)).toEqual([0.9, 0]);
  });
});

describe('timestepOfSigma', () => {
  it('gives back every timestep of a schedule exactly', () => {
    for (const kind of KINDS.flatMap((kind) => [kind, `zero ${kind}`])) {
      const config = { timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195, zeroTerminalSnr: kind.startsWith('zero') };
      const schedule = createSchedule({ kind: kind.replace('zero ', '') as ScheduleKind, ...config });
      schedule.sigmas.forEach((sigma, t) => expect(timestepOfSigma(schedule, sigma)).toBe(t));
    }
  });

  it('is linear in log sigma between two timesteps', () => {
    const between = Math.sqrt(SGDIFF.sigmas[300]! * SGDIFF.sigmas[301]!);
    expect(timestepOfSigma(SGDIFF, between)).toBeCloseTo(300.5, 9);
  });

  it('rejects a sigma outside the schedule', () => {
    for (const sigma of [0, 0.01, 1000, NaN]) {
      expect(() => timestepOfSigma(SGDIFF, sigma)).toThrow(
        `timestepOfSigma: expected sigma between ${SGDIFF.sigmas[0]} and ${SGDIFF.sigmas[999]}, the levels of the ` +
          `schedule, received ${sigma}. Take the sigmas from samplingSigmas, or keep your own within these bounds.`,
      );
    }
  });
});

describe('samplingTimesteps', () => {
  it('agrees with diffusers, but for their single step of linspace, which would start where no noise is', () => {
    for (const { spacing, steps, timesteps } of golden.lists) {
      const ours = Array.from(samplingTimesteps(SGDIFF, steps, { spacing }));
      if (spacing === 'linspace' && steps === 1) expect([timesteps, ours]).toEqual([[0], [999]]);
      else expect(ours).toEqual(timesteps);
    }
  });

  it('agrees with diffusers for every step count from 2 to 1000 (checksum; where theirs is too long, in what we take)', () => {
    for (const spacing of SPACINGS) {
      let checksum = 0;
      for (let steps = 2; steps <= 1000; steps++) {
        for (const t of samplingTimesteps(SGDIFF, steps, { spacing })) checksum = (Math.imul(checksum, 31) + t) >>> 0;
      }
      expect(checksum).toBe(golden.checksums[spacing]);
    }
  });

  it('takes exactly as many steps as asked where diffusers takes one more', () => {
    expect(golden.wrongCount).toHaveLength(62);
    expect(golden.wrongCount[0]).toEqual({ spacing: 'trailing', steps: 61, taken: 62 });
    for (const { spacing, steps, taken } of golden.wrongCount) {
      expect(taken).toBe(steps + 1);
      expect(samplingTimesteps(SGDIFF, steps, { spacing })).toHaveLength(steps);
    }
  });

  it('gives for every step count from 1 to 1000 and every spacing that many different, falling timesteps', () => {
    for (const spacing of SPACINGS) {
      for (let steps = 1; steps <= 1000; steps++) {
        const timesteps = samplingTimesteps(SGDIFF, steps, { spacing });
        if (timesteps.length !== steps) throw new Error(`${spacing} ${steps}: ${timesteps.length} timesteps`);
        if (timesteps[0]! > 999 || timesteps[steps - 1]! < 0)
          throw new Error(`${spacing} ${steps} leaves the schedule`);
        for (let i = 1; i < steps; i++) {
          if (timesteps[i]! >= timesteps[i - 1]!) throw new Error(`${spacing} ${steps} does not fall at ${i}`);
        }
      }
    }
  });

  it('starts at the last timestep with trailing and linspace, and ends at the first with leading and linspace', () => {
    for (const steps of [2, 3, 7, 61, 150, 999, 1000]) {
      expect(samplingTimesteps(SGDIFF, steps, { spacing: 'trailing' })[0]).toBe(999);
      expect(samplingTimesteps(SGDIFF, steps, { spacing: 'linspace' })[0]).toBe(999);
      expect(samplingTimesteps(SGDIFF, steps, { spacing: 'linspace' })[steps - 1]).toBe(0);
      expect(samplingTimesteps(SGDIFF, steps, { spacing: 'leading' })[steps - 1]).toBe(0);
    }
  });

  it('rejects a step count that is no whole number from 1 to the length of the schedule', () => {
    for (const steps of [0, 1.5, -3, 1001, NaN, Infinity]) {
      for (const make of [samplingTimesteps, samplingSigmas]) {
        expect(() => make(SGDIFF, steps)).toThrow(
          `samplingTimesteps: expected steps to be a whole number from 1 to 1000, the timesteps of the schedule, ` +
            `received ${steps}.`,
        );
      }
    }
  });

  it('rejects an offset that runs past the schedule, and an unknown spacing', () => {
    expect(() => samplingTimesteps(SGDIFF, 9, { spacing: 'leading', offset: 112 })).toThrow(
      "samplingTimesteps: expected offset to be a whole number from 0 to 111 for 9 steps with 'leading' spacing, " +
        'received 112. A larger one runs past the last timestep, 999.',
    );
    expect(() => samplingTimesteps(SGDIFF, 10, { offset: 1 })).toThrow(
      /from 0 to 0 for 10 steps with 'trailing' spacing/,
    );
    expect(() => samplingTimesteps(SGDIFF, 10, { spacing: 'karras' as 'leading' })).toThrow(
      "samplingTimesteps: expected spacing to be one of 'leading', 'trailing', 'linspace', received 'karras'.",
    );
  });
});

describe('samplingSigmas', () => {
  it('are the schedule at those timesteps, then 0', () => {
    for (const spacing of SPACINGS) {
      for (const steps of [1, 2, 20, 1000]) {
        const sigmas = samplingSigmas(SGDIFF, steps, { spacing });
        const want = Array.from(samplingTimesteps(SGDIFF, steps, { spacing }), (t) => SGDIFF.sigmas[t]!);
        expect(Array.from(sigmas)).toEqual([...want, 0]);
      }
    }
  });

  it('reproduce the DDIM table of published SGDiff (200 steps, eta 1)', () => {
    const { steps, offset, rows } = golden.ddim;
    const timesteps = samplingTimesteps(SGDIFF, steps, { spacing: 'leading', offset });
    expect(Array.from(timesteps.slice(-3)).reverse()).toEqual([1, 6, 11]);
    expect(Array.from(timesteps.slice(0, 3)).reverse()).toEqual([986, 991, 996]);
    const published = [0.027432088, 0.046488584, 0.197217916, 0.305153585];
    rows.forEach(({ index, t, alphaCumprod, alphaCumprodNext, sigma }, row) => {
      expect(timesteps[steps - 1 - index]).toBe(t);
      expectClose(SGDIFF.alphasCumprod[t]!, alphaCumprod, 1e-12);
      // The published sampler ends at alphasCumprod[0], not at 1.
      const tNext = index === 0 ? 0 : timesteps[steps - index]!;
      expectClose(SGDIFF.alphasCumprod[tNext]!, alphaCumprodNext, 1e-12);
      const { sigmaUp } = ancestralSigmas(SGDIFF.sigmas[t]!, SGDIFF.sigmas[tNext]!, 1);
      expectClose(sigmaUp * Math.sqrt(alphaCumprodNext), sigma, 1e-10);
      expectClose(sigma, published[row]!, 2e-8);
    });
  });
});

describe('sigmasOfTimesteps', () => {
  it('are the schedule at the given timesteps, then 0', () => {
    const list = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]; // of Align Your Steps
    expect(Array.from(sigmasOfTimesteps(SGDIFF, list))).toEqual([...list.map((t) => SGDIFF.sigmas[t]!), 0]);
    expect(sigmasOfTimesteps(SGDIFF, samplingTimesteps(SGDIFF, 13))).toEqual(samplingSigmas(SGDIFF, 13));
  });

  it('rejects an empty list, and timesteps that leave the schedule or do not fall', () => {
    expect(() => sigmasOfTimesteps(SGDIFF, [])).toThrow(
      'sigmasOfTimesteps: expected at least one timestep, received none.',
    );
    for (const t of [1000, -1, 2.5, NaN]) {
      expect(() => sigmasOfTimesteps(SGDIFF, [t])).toThrow(
        `sigmasOfTimesteps: expected every timestep to be a whole number from 0 to 999, received timesteps[0] = ${t}.`,
      );
    }
    expect(() => sigmasOfTimesteps(SGDIFF, [951, 901, 901, 851])).toThrow(
      'sigmasOfTimesteps: expected timesteps that fall, received timesteps[1] = 901 and then timesteps[2] = 901.',
    );
  });
});

describe('ancestralSigmas', () => {
  it('splits the next level without loss, and keeps all of it at eta 0', () => {
    const { sigmaDown, sigmaUp } = ancestralSigmas(3, 2, 0.7);
    expect(Math.hypot(sigmaDown, sigmaUp)).toBeCloseTo(2, 14);
    expect(ancestralSigmas(3, 2, 0)).toEqual({ sigmaDown: 2, sigmaUp: 0 });
    expect(ancestralSigmas(3, 0, 1)).toEqual({ sigmaDown: 0, sigmaUp: 0 });
  });

  it('regression: at eta 1 goes down to sigmaNext^2 / sigma in all digits, also in a step from pure noise to nearly none', () => {
    for (const [sigma, sigmaNext] of [
      [39674, 0.0388],
      [16741, 2],
      [3, 2],
    ] as const) {
      expectClose(ancestralSigmas(sigma, sigmaNext, 1).sigmaDown, sigmaNext ** 2 / sigma, 1e-15);
    }
  });

  it('at eta 1 never takes the root of a negative number, however small the step', () => {
    for (const ratio of [1e-8, 0.5, 1 - 1e-9, 1 - 2 ** -53]) {
      expect(Object.values(ancestralSigmas(5, 5 * ratio, 1)).every(Number.isFinite)).toBe(true);
    }
  });
});

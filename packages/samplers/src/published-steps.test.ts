import * as tf from '@tensorflow/tfjs-core';
import { readGolden, seededUniform, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ancestralSigmas,
  createSchedule,
  denoiserFromModel,
  iterateDdim,
  iteratePlms,
  publishedSigmas,
  publishedTimesteps,
  samplingSigmas,
  samplingTimesteps,
  type ScheduleConfig,
} from './index';

const SGDIFF = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

/** The step counts with which the published code crashes. */
const CRASHES = [
  [3, 3],
  [9, 9],
  [27, 27],
  [36, 37],
  [101, 111],
  [251, 333],
  [501, 1000],
] as const;
const crashes = (steps: number): boolean => CRASHES.some(([from, to]) => steps >= from && steps <= to);

describe('publishedTimesteps', () => {
  it('are 1, 6, 11 … 986, 991, 996 for 200 steps, from the last to the first', () => {
    const timesteps = Array.from(publishedTimesteps(SGDIFF, 200)).reverse();
    expect(timesteps).toHaveLength(200);
    expect([...timesteps.slice(0, 3), ...timesteps.slice(-3)]).toEqual([1, 6, 11, 986, 991, 996]);
  });

  it('refuse exactly the step counts with which the published code crashes', () => {
    for (let steps = 1; steps <= 1000; steps++) {
      let refused = false;
      try {
        publishedTimesteps(SGDIFF, steps);
      } catch {
        refused = true;
      }
      expect([steps, refused]).toEqual([steps, crashes(steps)]);
    }
  });

  it('name the nearest step counts that work, and how many steps those take', () => {
    const message = (steps: number, remedy: string) =>
      `publishedTimesteps: expected a number of steps whose timesteps end within the schedule, received ${steps}: ` +
      `the last would be 1000, and the schedule ends at 999. ${remedy}`;
    expect(() => publishedTimesteps(SGDIFF, 3)).toThrow(message(3, 'Take 2 or 4.'));
    expect(() => publishedTimesteps(SGDIFF, 36)).toThrow(
      message(36, 'Take 35 (which takes 36) or 38 (which takes 39).'),
    );
    expect(() => publishedTimesteps(SGDIFF, 300)).toThrow(message(300, 'Take 250 or 334 (which takes 500).'));
    expect(() => publishedTimesteps(SGDIFF, 1000)).toThrow(message(1000, 'Take 500.'));
    const shortest = createSchedule({ kind: 'linear', timesteps: 1, betaStart: 0.1, betaEnd: 0.1 });
    expect(() => publishedTimesteps(shortest, 1)).toThrow(
      'publishedTimesteps: expected a number of steps whose timesteps end within the schedule, received 1: the last would ' +
        'be 1, and the schedule ends at 0. No number works for so short a schedule: use samplingSigmas.',
    );
  });

  it('are as many as the published code takes where that is another number than asked', () => {
    for (const [steps, taken] of [
      [30, 31],
      [60, 63],
      [150, 167],
      [400, 500],
      [200, 200],
      [500, 500],
    ] as const)
      expect(publishedTimesteps(SGDIFF, steps)).toHaveLength(taken);
  });

  it('are those of leading spacing with offset 1 where the step count divides the schedule', () => {
    for (const steps of [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500]) {
      const leading = samplingTimesteps(SGDIFF, steps, { spacing: 'leading', offset: 1 });
      expect(publishedTimesteps(SGDIFF, steps)).toEqual(leading);
    }
  });

  it('refuse a step count that is no whole number from 1 to the length of the schedule', () => {
    for (const steps of [0, 1.5, -3, 1001, NaN, Infinity]) {
      for (const make of [publishedTimesteps, publishedSigmas]) {
        expect(() => make(SGDIFF, steps)).toThrow(
          `publishedTimesteps: expected steps to be a whole number from 1 to 1000, the timesteps of the schedule, ` +
            `received ${steps}.`,
        );
      }
    }
  });
});

describe('publishedSigmas', () => {
  it('fall strictly within the schedule, from the highest timestep to timestep 0, for any schedule and step count', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 1200 }), fc.double({ min: 0, max: 1, noNaN: true }), (timesteps, share) => {
        const schedule = createSchedule({ kind: 'cosine', timesteps });
        const steps = 1 + Math.floor(share * (timesteps - 1));
        const stride = Math.floor(timesteps / steps);
        fc.pre((Math.ceil(timesteps / stride) - 1) * stride + 1 < timesteps); // else it is refused
        const sigmas = publishedSigmas(schedule, steps);
        expect(sigmas.length - 1).toBeGreaterThanOrEqual(steps);
        expect(sigmas.at(-1)).toBe(schedule.sigmas[0]);
        for (let i = 1; i < sigmas.length; i++) expect(sigmas[i]).toBeLessThan(sigmas[i - 1]!);
      }),
      { seed: 3 },
    );
  });

  it('give alpha-bar and the noise of each step of published SGDiff (200 steps, eta 1)', () => {
    const sigmas = publishedSigmas(SGDIFF, 200);
    const alphaCumprod = (sigma: number) => 1 / (1 + sigma ** 2);
    // Counted from the end of the run, as in the published tables.
    const rows = [
      [0, 0.996994427, 0.9985, 0.027432088],
      [1, 0.989383382, 0.996994427, 0.046488584],
      [100, 0.114004784, 0.118643708, 0.197217916],
      [199, 1.50951271e-4, 1.66451236e-4, 0.305153585],
    ] as const;
    for (const [index, alpha, alphaNext, sigma] of rows) {
      const [from, to] = [sigmas[199 - index]!, sigmas[200 - index]!];
      const { sigmaUp } = ancestralSigmas(from, to, 1);
      const received = [alphaCumprod(from), alphaCumprod(to), sigmaUp * Math.sqrt(alphaCumprod(to))];
      expect(received).toBeAllClose([alpha, alphaNext, sigma], { rtol: 3e-8, atol: 0 }); // given to 8 or 9 digits
    }
  });
});

type Golden = { shape: [number, number, number, number]; schedule: ScheduleConfig; runs: Run[] };
type Run = {
  sampler: 'ddim' | 'plms';
  options: { eta?: number };
  steps: number;
  endsAtZero: boolean;
  /** Timesteps of the network calls, in order. */
  calledAt: number[];
  states: number[][];
  /** End of the same run with diffusers' schedule in its own float32. */
  float32: number[];
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/published.golden.json');
const iterators = { ddim: iterateDdim, plms: iteratePlms };

describe.each(['cpu', 'wasm'] as const)('whole published runs of diffusers, on %s', (backend) => {
  beforeAll(() => setupBackend(backend));
  const { shape } = golden;
  const schedule = createSchedule(golden.schedule);
  const seeded = (name: string): tf.Tensor4D => tf.tensor4d(seededUniform(name, 16, Math.sqrt(3)), shape);

  it.each(golden.runs)('$sampler $options in $steps steps, ends at zero: $endsAtZero', async (run) => {
    const { sampler, options, steps, endsAtZero, calledAt } = run;
    const sigmas = endsAtZero
      ? samplingSigmas(schedule, steps, { spacing: 'leading', offset: 1 })
      : publishedSigmas(schedule, steps);
    const asked: number[] = [];
    const model = (x: tf.Tensor4D, times: tf.Tensor1D): tf.Tensor4D => {
      const t = times.dataSync()[0]!;
      asked.push(t);
      const [a, b, c] = [1 - Math.exp(-t / 250), 0.02 * Math.cos(t / 100), 0.01 * Math.sin(t / 50)];
      return tf.add(tf.add(tf.mul(x, a), tf.div(tf.mul(x, b), tf.add(tf.square(x), 1))), c);
    };
    const xT = tf.tidy(() => tf.mul<tf.Tensor4D>(seeded('xT'), Math.sqrt(1 + sigmas[0]! ** 2)));
    const noise = (_: readonly number[], step: number) => seeded(`noise.${step}`);
    let worst = 0;
    let last: number[] = [];
    for await (const { index, sigmaNext, x } of iterators[sampler](
      denoiserFromModel(model, schedule, 'eps'),
      xT,
      sigmas,
      { ...options, noise, keepNoise: !endsAtZero },
    )) {
      const scale = 1 / Math.sqrt(1 + sigmaNext ** 2); // theirs is the variance-preserving state
      last = Array.from(x.dataSync(), (value) => value * scale);
      worst = Math.max(worst, relativeError(last, run.states[index]!));
    }
    expect(asked).toEqual(calledAt);
    expect(run.states).toHaveLength(steps);
    expect(worst).toBeLessThan(1e-5); // float32 against float64, over up to 200 steps
    expect(relativeError(last, run.float32)).toBeLessThan(1e-5);
    xT.dispose();
  });
});

/** The largest difference as a share of the largest value. */
function relativeError(received: readonly number[], expected: readonly number[]): number {
  const size = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(value - received[i]!))) / size;
}

import { createSchedule, publishedSigmas, samplingSigmas } from '@sgdiff/sampler';
import { describe, expect, it } from 'vitest';
import { requireSpacing, SPACINGS, sigmasOf } from './spacings';

const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

describe('sigmasOf', () => {
  it('ends at 0 after exactly the steps asked for, but for the published spacing', () => {
    for (const spacing of ['trailing', 'leading', 'linspace'] as const) {
      expect(sigmasOf(schedule, spacing, 30)).toEqual(samplingSigmas(schedule, 30, { spacing }));
      expect(sigmasOf(schedule, spacing, 30).at(-1)).toBe(0);
    }
    expect(sigmasOf(schedule, 'published', 30)).toEqual(publishedSigmas(schedule, 30));
    expect(sigmasOf(schedule, 'published', 30)).toHaveLength(32);
    expect(sigmasOf(schedule, 'published', 30).at(-1)).toBe(schedule.sigmas[0]);
  });
});

describe('requireSpacing', () => {
  it('gives back every known one, and names them where another comes', () => {
    expect(SPACINGS.map(requireSpacing)).toEqual([...SPACINGS]);
    for (const [value, received] of [
      ['karras', '"karras"'],
      [undefined, 'nothing'],
      [null, 'null'],
      [3, '3'],
    ] as const) {
      expect(() => requireSpacing(value)).toThrow(
        `Unknown spacing ${received}, expected one of: trailing, leading, linspace, published.`,
      );
    }
  });
});

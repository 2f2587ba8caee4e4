import { createSchedule, timestepOfSigma } from '@sgdiff/sampler';
import { describe, expect, it } from 'vitest';
import { levelsOf, requireSigmaList, SIGMA_LISTS } from './sigma-lists';
import { sigmasOf } from './spacings';

const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

describe('levelsOf', () => {
  it('is the choice of the spacing unless a list is named', () => {
    for (const spacing of ['trailing', 'leading', 'linspace', 'published'] as const) {
      expect(levelsOf(schedule, 'schedule', spacing, 20)).toEqual(sigmasOf(schedule, spacing, 20));
    }
  });

  it.each(SIGMA_LISTS.filter((name) => name !== 'schedule'))(
    '%s falls in exactly as many steps as asked for, within the levels that the network knows, to 0',
    (list) => {
      for (const steps of [1, 2, 3, 10, 50, 1000]) {
        const sigmas = levelsOf(schedule, list, 'trailing', steps);
        expect(sigmas).toHaveLength(steps + 1);
        expect(sigmas[0]).toBe(schedule.sigmas.at(-1));
        expect(sigmas.at(-1)).toBe(0);
        if (steps > 1) expect(sigmas.at(-2)).toBe(schedule.sigmas[0]);
        sigmas.slice(0, -1).forEach((sigma, i) => {
          expect(sigma).toBeGreaterThan(sigmas[i + 1]);
          expect(() => timestepOfSigma(schedule, sigma)).not.toThrow();
        });
      }
    },
  );

  it('has lists that differ from each other', () => {
    const middles = SIGMA_LISTS.map((list) => levelsOf(schedule, list, 'trailing', 10)[5]);
    expect(new Set(middles).size).toBe(SIGMA_LISTS.length);
  });
});

describe('requireSigmaList', () => {
  it('gives back every known one, and names them where another comes', () => {
    expect(SIGMA_LISTS.map(requireSigmaList)).toEqual([...SIGMA_LISTS]);
    for (const [value, received] of [
      ['trailing', '"trailing"'],
      [undefined, 'nothing'],
      [7, '7'],
    ] as const) {
      expect(() => requireSigmaList(value)).toThrow(
        `Unknown sigma list ${received}, expected one of: schedule, karras, exponential, beta.`,
      );
    }
  });
});

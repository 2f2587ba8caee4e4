import { createSchedule, perItemNoise, initialNoise, type SampleOptions } from '@sgdiff/sampler';
import { setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { isSampler, networkCalls, requireSampler, runSampler, SAMPLERS, usualEta } from './samplers';
import { levelsOf } from './sigma-lists';

const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

type Settings = { readonly steps: number; readonly options?: SampleOptions & { readonly eta?: number } };

/** Result and network calls for data that is standard normal, of which x / (1 + sigma^2) is the perfect prediction. */
async function run(name: (typeof SAMPLERS)[number], { steps, options = {} }: Settings) {
  let calls = 0;
  const sigmas = levelsOf(schedule, 'schedule', 'trailing', steps);
  const noise = perItemNoise([1, 2]);
  const xT = initialNoise<tf.Rank.R4>(noise, [2, 2, 2, 1], sigmas);
  const denoiser = (x: tf.Tensor4D, sigma: number): tf.Tensor4D => {
    calls++;
    return tf.div(x, 1 + sigma * sigma);
  };
  try {
    const x = await runSampler(name, denoiser, xT, sigmas, { noise, ...options });
    const values = Array.from(await x.data());
    x.dispose();
    return { values, calls };
  } finally {
    xT.dispose();
  }
}

beforeAll(() => setupBackend('cpu'));

describe('the samplers of a request', () => {
  it.each(SAMPLERS)('%s runs by its name, with as many network calls as are told', async (name) => {
    for (const steps of [1, 2, 3, 10]) {
      const { values, calls } = await run(name, { steps });
      expect(values.every(Number.isFinite)).toBe(true);
      expect(calls).toBe(networkCalls(name, steps));
    }
  });

  it.each(SAMPLERS)('%s draws the same from the same seeds, and follows eta just where it takes one', async (name) => {
    const { values } = await run(name, { steps: 6 });
    expect((await run(name, { steps: 6 })).values).toEqual(values);
    const usual = usualEta(name);
    if (usual !== undefined) expect((await run(name, { steps: 6, options: { eta: usual } })).values).toEqual(values);
    const other = await run(name, { steps: 6, options: { eta: 0.5 } });
    if (usual === undefined) expect(other.values).toEqual(values);
    else expect(other.values).not.toEqual(values);
  });

  it('differ from each other, but for Euler, which is DDIM without noise, and its ancestral form, which is DDPM', async () => {
    const results = new Map<string, string[]>();
    for (const name of SAMPLERS) {
      const key = (await run(name, { steps: 8 })).values.map((value) => value.toFixed(4)).join();
      results.set(key, [...(results.get(key) ?? []), name]);
    }
    expect([...results.values()].filter((names) => names.length > 1)).toEqual([
      ['ddim', 'euler'],
      ['ddpm', 'euler-ancestral'],
    ]);
  });
});

describe('requireSampler', () => {
  it('gives back every known one, and names them where another comes, also where every object has such a key', () => {
    expect(SAMPLERS.map(requireSampler)).toEqual([...SAMPLERS]);
    expect(isSampler('toString')).toBe(false);
    for (const [value, received] of [
      ['dpm++', '"dpm++"'],
      ['constructor', '"constructor"'],
      [undefined, 'nothing'],
    ] as const) {
      expect(() => requireSampler(value)).toThrow(
        `Unknown sampler ${received}, expected one of: dpm-solver++2m, ddim, ddpm, plms, euler, euler-ancestral, heun, dpm2, lms, ` +
          'dpm-solver++2m-sde, dpm-solver++3m-sde, dpm-solver++2s-ancestral, unipc, deis, lcm.',
      );
    }
  });
});

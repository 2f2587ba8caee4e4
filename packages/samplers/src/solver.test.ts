import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import * as exported from './index';
import {
  iterateDdim,
  perItemNoise,
  sampleDeis,
  sampleEuler,
  sampleLms,
  type SampleOptions,
  type SavedRun,
} from './index';
import { lastState, runSolver, type Method } from './solver';

type Tensor2D = tf.Tensor2D;

beforeAll(() => setupBackend('cpu'));

describe('runSolver', () => {
  it('numbers the draws of a step, so that a method that draws twice gets other noise then', async () => {
    const twice: Method<SampleOptions> = () => ({
      needsNoise: 'twice',
      step: ({ x }, { noise }) => ({ x: tf.sub(noise(), noise()), x0: tf.clone(x), memory: [] }),
    });
    const seen: number[][] = [];
    const plain = perItemNoise([7]);
    const noise: typeof plain = (shape, step, draw) => (seen.push([step, draw!]), plain(shape, step, draw));
    const xT = tf.ones([1, 4]) as Tensor2D;
    const y = await lastState(runSolver(twice, 'twice', (x: Tensor2D) => x, xT, [2, 1, 0], { noise }));
    expect(seen).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    expect(y.dataSync().every((value) => value !== 0)).toBe(true);
    tf.dispose([xT, y]);
  });
});

describe('what a sampler is told in plain JavaScript', () => {
  const xT = () => tf.ones([1, 2]) as Tensor2D;
  const samplers = Object.entries(exported).filter(([name]) => /^sample[A-Z]/.test(name)) as [
    string,
    (...given: unknown[]) => Promise<tf.Tensor>,
  ][];

  it('options that are null: that, from every sampler', async () => {
    expect(samplers).toHaveLength(18);
    for (const [name, sample] of samplers) {
      const x = xT();
      await expectNoLeak(() => sample((y: Tensor2D) => y, x, [1, 0], null), {
        throws: `${name}: expected options to be an object, received null.`,
      });
      x.dispose();
    }
  });

  it('options that are null: that, from what makes denoisers and lists, too', () => {
    const schedule = exported.createSchedule({ kind: 'cosine', timesteps: 10 });
    const denoiser = (x: Tensor2D) => x;
    const none = null as never;
    for (const [name, call] of [
      ['staticThresholding', () => exported.staticThresholding(denoiser, none)],
      ['dynamicThresholding', () => exported.dynamicThresholding(denoiser, none)],
      ['consistencyDenoiser', () => exported.consistencyDenoiser(denoiser, schedule, none)],
      ['classifierFreeGuidance', () => exported.classifierFreeGuidance(denoiser, none)],
      ['samplingTimesteps', () => exported.samplingSigmas(schedule, 3, none)],
      ['betaSigmas', () => exported.betaSigmas(0.1, 1, 3, none)],
      ['betaTimestepSigmas', () => exported.betaTimestepSigmas(schedule, 3, none)],
    ] as const) {
      expect(call).toThrow(`${name}: expected options to be an object, received null.`);
    }
    expect(() => exported.createSchedule(none)).toThrow(
      'createSchedule: expected config to be an object, received null.',
    );
  });

  it('a string for a number: in quotes', async () => {
    const x = xT();
    const call = (sample: unknown, options: object) =>
      (sample as (typeof samplers)[0][1])((y: Tensor2D) => y, x, [1, 0], options);
    await expect(call(sampleLms, { order: '3' })).rejects.toThrow(
      "sampleLms: expected order to be 1, 2, 3 or 4, received '3'.",
    );
    await expect(call(exported.sampleDdim, { eta: '0.5' })).rejects.toThrow(
      "sampleDdim: expected eta to be a number from 0 to 1, received '0.5'.",
    );
    await expect(call(exported.sampleDdim, { eta: 1n })).rejects.toThrow(
      'sampleDdim: expected eta to be a number from 0 to 1, received 1n.',
    );
    await expect(call(exported.sampleEulerAncestral, { sNoise: '1' })).rejects.toThrow(
      "sampleEulerAncestral: expected sNoise to be a number from 0, received '1'.",
    );
    await expect(call(sampleEuler, { sChurn: '1' })).rejects.toThrow(
      "sampleEuler: expected sChurn to be a finite number from 0, received '1'.",
    );
    expect(() => exported.karrasSigmas(0.1, 1, '3' as never)).toThrow(
      "karrasSigmas: expected steps to be a whole number from 1, received '3'.",
    );
    expect(() => exported.samplingSigmas(exported.scheduleFromBetas([0.1]), '1' as never)).toThrow(
      "samplingTimesteps: expected steps to be a whole number from 1 to 1, the timesteps of the schedule, received '1'.",
    );
    x.dispose();
  });
});

describe('the settings of a saved run', () => {
  const soft = (x: Tensor2D) => tf.mul<Tensor2D>(x, 0.5);
  const sigmas = [4, 2, 1, 0];

  it('are the filled-in ones: a default that is written out is the same run, whichever way round, and another is not', async () => {
    const x = tf.ones([1, 2]) as Tensor2D;
    const savedWith = async (options: object) => {
      let saved: SavedRun | undefined;
      const onStep = async ({ index, save }: exported.SamplingStep) => void (index === 0 && (saved = await save()));
      (await sampleLms(soft, x, sigmas, { ...options, onStep })).dispose();
      return saved!;
    };
    const [implied, written] = [await savedWith({}), await savedWith({ order: 4 })];
    expect(implied.settings).toEqual({ order: 4 });
    expect(written).toEqual(implied);
    (await sampleLms(soft, x, sigmas, { order: 4, resume: implied })).dispose();
    (await sampleLms(soft, x, sigmas, { resume: written })).dispose();
    await expectNoLeak(() => sampleLms(soft, x, sigmas, { order: 3, resume: implied }), {
      throws: 'sampleLms: expected options.resume to be a run with order 3, as this one, received one with order 4.',
    });
    x.dispose();
  });

  it('hold no other option: one that JSON cannot take does no harm', async () => {
    const x = tf.ones([1, 2]) as Tensor2D;
    let saved: SavedRun | undefined;
    const mine = { seed: 5n, keepNoise: false };
    const onStep = async ({ index, save }: exported.SamplingStep) => void (index === 0 && (saved = await save()));
    (await sampleDeis(soft, x, sigmas, { ...mine, onStep } as SampleOptions)).dispose();
    expect(saved!.settings).toEqual({ order: 3 });
    x.dispose();
  });

  it('survive JSON, infinity included', async () => {
    const x = tf.ones([1, 2]) as Tensor2D;
    for await (const { index, save } of exported.iterateHeun(soft, x, sigmas)) {
      if (index > 0) break;
      const saved = await save();
      const kept = JSON.parse(
        JSON.stringify(saved, (_, value: unknown) => (ArrayBuffer.isView(value) ? Array.from(value as never) : value)),
      ) as SavedRun;
      for (const resume of [saved, kept])
        (await exported.sampleHeun(soft, x, sigmas, { resume, sTmax: Infinity })).dispose();
    }
    x.dispose();
  });
});

describe('the solver option of a method that takes its steps with another', () => {
  const soft = (x: Tensor2D) => tf.mul<Tensor2D>(x, 0.5);
  const noise = perItemNoise([1]);
  const methods = {
    sampleInpainting: { known: tf.zeros([1, 2]), mask: tf.ones([1, 1]) },
    sampleImageToImage: { strength: 0.9, noise },
    sampleRestart: { restarts: [{ sigmaMin: 1, sigmaMax: 2, times: 1, steps: 1 }], noise },
  };

  for (const [name, options] of Object.entries(methods)) {
    it(`of ${name} has to be an iterate… function; nothing is left of one that is not`, async () => {
      const x = tf.ones([1, 2]) as Tensor2D;
      const refused = async (solver: unknown, received: string) =>
        expectNoLeak(
          () =>
            (exported[name as keyof typeof methods] as (...given: unknown[]) => Promise<tf.Tensor>)(
              soft,
              x,
              [4, 2, 1, 0],
              {
                ...options,
                solver,
              },
            ),
          {
            throws: `${name}: expected options.solver to be an iterate… function, e.g. iterateDdim, received ${received}.`,
          },
        );
      await refused(undefined, 'undefined');
      await refused('ddim', "'ddim'");
      await refused(exported.sampleDdim, 'sampleDdim');
      const wrapped: typeof exported.sampleDdim = (d, y, s, o) => exported.sampleDdim(d, y, s, o);
      await refused(wrapped, 'one that gives [object Promise]');
      await refused(() => [1, 2], 'one that gives [object Array]');
      const broken = () => Promise.reject(new Error('broken'));
      await refused(broken, 'one that gives [object Promise]');
      x.dispose();
    });

    it(`of ${name}: a denoiser and sigmas are asked for, too`, async () => {
      const x = tf.ones([1, 2]) as Tensor2D;
      const call = (denoiser: unknown, sigmas: unknown) =>
        (exported[name as keyof typeof methods] as (...given: unknown[]) => Promise<tf.Tensor>)(denoiser, x, sigmas, {
          ...options,
          solver: iterateDdim,
        });
      await expectNoLeak(() => call(undefined, [4, 2, 1, 0]), {
        throws: `${name}: expected denoiser to be a function (x, sigma, step) => x0, received undefined.`,
      });
      await expectNoLeak(() => call(soft, undefined), {
        throws: ': expected sigmas to be a list, received undefined.',
      });
      x.dispose();
    });
  }

  it('of sampleRestart: restarts are asked for, each an object', async () => {
    const x = tf.ones([1, 2]) as Tensor2D;
    const call = (restarts: unknown) =>
      exported.sampleRestart(soft, x, [4, 2, 1, 0], { solver: iterateDdim, noise, restarts: restarts as never });
    await expect(call(undefined)).rejects.toThrow('sampleRestart: expected restarts to be a list, received undefined.');
    await expect(call([null])).rejects.toThrow('sampleRestart: expected restarts[0] to be an object, received null.');
    await expect(call([{ sigmaMin: 1, sigmaMax: 2, times: '1', steps: 1 }])).rejects.toThrow(
      "sampleRestart: expected restarts[0].times to be a whole number from 0, received '1'.",
    );
    x.dispose();
  });
});

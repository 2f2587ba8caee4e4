import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSchedule,
  invertDdim,
  iterateInvertDdim,
  perItemNoise,
  sampleDdim,
  samplingSigmas,
  type Denoiser,
  type InvertDdimOptions,
  type SavedRun,
} from './index';
import {
  GAUSSIAN,
  gaussianDenoiser,
  gaussianEndPoints,
  measuredOrder,
  MIXTURE,
  mixtureDenoiser,
  smoothSigmas,
} from './testing/oracles';

type Tensor2D = tf.Tensor2D;

const ORACLES = [
  ['a Gaussian', gaussianDenoiser(GAUSSIAN)],
  ['a mixture of Gaussians', mixtureDenoiser(MIXTURE) as Denoiser<Tensor2D>],
] as const;
const soft: Denoiser<Tensor2D> = (x, sigma) => tf.tidy(() => tf.tanh(tf.div<Tensor2D>(x, 1 + sigma)));
const data = () => tf.tidy(() => tf.add<Tensor2D>(tf.mul(perItemNoise([1, 2, 3, 4, 5, 6, 7, 8])([8, 2], 0), 0.8), 0.2));
const SIGMAS = [8, 4, 2, 1, 0];
const SCHEDULE = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

/** Root mean square difference. */
const distance = (a: tf.Tensor, b: tf.Tensor) => Math.sqrt(tf.mean(tf.square(tf.sub(a, b))).dataSync()[0]!);

async function roundTrip(denoiser: Denoiser<Tensor2D>, sigmas: ArrayLike<number>, iterations: number): Promise<number> {
  const x0 = data();
  const xT = await invertDdim(denoiser, x0, sigmas, { iterations });
  const back = await sampleDdim(denoiser, xT, sigmas);
  const error = distance(back, x0);
  tf.dispose([x0, xT, back]);
  return error;
}

async function run(
  options: InvertDdimOptions = {},
  sigmas: ArrayLike<number> = SIGMAS,
  denoiser = soft,
): Promise<Tensor2D> {
  const x0 = data();
  try {
    return await invertDdim(denoiser, x0, sigmas, options);
  } finally {
    x0.dispose();
  }
}

describe('invertDdim', () => {
  beforeAll(() => setupBackend('cpu'));

  for (const [what, denoiser] of ORACLES) {
    for (const [iterations, steps] of [
      [0, [40, 80, 160]],
      [1, [40, 80, 160]],
      [2, [20, 40, 80]],
    ] as const) {
      it(`and down again: back at the data with order ${1 + iterations}, within 0.2, for ${what} with ${iterations} iterations`, async () => {
        const errors: number[] = [];
        for (const n of steps) errors.push(await roundTrip(denoiser, smoothSigmas(10, n), iterations));
        const measured = measuredOrder(steps, errors);
        expect(measured).toBeGreaterThan(1 + iterations - 0.2);
        expect(measured).toBeLessThan(1 + iterations + 0.2);
      });
    }
  }

  it('on the schedule of SGDiff: the errors that the README prints', async () => {
    const table: [iterations: number, errors: number[]][] = [
      [0, [0.266, 0.148, 0.085, 0.05]],
      [1, [0.093, 0.024, 0.006, 0.002]],
      [2, [0.033, 0.004, 0.001, 0]],
      [5, [0.002, 0, 0, 0]],
    ];
    for (const [iterations, readme] of table) {
      const errors: number[] = [];
      for (const n of [10, 20, 40, 80]) {
        errors.push(await roundTrip(ORACLES[0][1], samplingSigmas(SCHEDULE, n), iterations));
      }
      expect(errors).toBeAllClose(readme, { rtol: 0, atol: 0.0006 }); // printed to three places
    }
  });

  it('finds the noise of the ODE to first order: closed form of a Gaussian', async () => {
    const errors: number[] = [];
    const steps = [80, 160, 320];
    for (const n of steps) {
      const xT = await run({}, smoothSigmas(10, n), ORACLES[0][1]);
      const want = gaussianEndPoints(GAUSSIAN, xT.dataSync(), 10); // where the ODE takes it: to the data
      errors.push(distance(tf.tensor2d(Float32Array.from(want), [8, 2]), data()));
    }
    const measured = measuredOrder(steps, errors);
    expect(measured).toBeGreaterThan(0.8);
    expect(measured).toBeLessThan(1.2);
    expect(errors[2]).toBeLessThan(0.02);
  });

  it('calls the network once a step and once more for each iteration, at the levels documented', async () => {
    const levelsOf = async (iterations: number, sigmas: number[], keepNoise = false) => {
      const levels: number[] = [];
      const watched: Denoiser<Tensor2D> = (x, sigma, step) => (levels.push(sigma), soft(x, sigma, step));
      (await run({ iterations, keepNoise }, sigmas, watched)).dispose();
      return levels;
    };
    expect(await levelsOf(0, SIGMAS)).toEqual([1, 1, 2, 4]);
    expect(await levelsOf(1, SIGMAS)).toEqual([1, 1, 1, 2, 2, 4, 4, 8]);
    expect(await levelsOf(0, [8, 4, 2], true)).toEqual([2, 4]);
    expect(await levelsOf(0, [8, 0])).toEqual([8]);
  });

  it('is undone to rounding by the way down when iterated to its end, in any number of steps', async () => {
    for (const n of [1, 2, 5, 20]) {
      const sigmas = samplingSigmas(SCHEDULE, n, { spacing: 'leading', offset: 1 });
      for (const [, denoiser] of ORACLES) expect(await roundTrip(denoiser, sigmas, 200)).toBeLessThan(1e-5);
    }
  });

  it('tells rising levels, to onStep and to the loop, and takes another state', async () => {
    const told: number[][] = [];
    const x = await run({
      onStep: ({ index, steps, sigma, sigmaNext }) => void told.push([index, steps, sigma, sigmaNext]),
    });
    expect(told).toEqual([
      [0, 4, 0, 1],
      [1, 4, 1, 2],
      [2, 4, 2, 4],
      [3, 4, 4, 8],
    ]);
    const looped: number[][] = [];
    for await (const step of iterateInvertDdim(soft, data(), SIGMAS)) {
      if (step.index === 3) {
        expect(Array.from(step.x.dataSync())).toEqual(Array.from(x.dataSync()));
        step.replace(tf.ones([8, 2]));
        expect(step.x.dataSync()[0]).toBe(1);
      }
      looped.push([step.index, step.steps, step.sigma, step.sigmaNext]);
    }
    expect(looped).toEqual(told);
    x.dispose();
  });

  it('is saved and gone on with, to the byte', async () => {
    const saved: SavedRun[] = [];
    const whole = await run({ iterations: 1, onStep: async (step) => void saved.push(await step.save()) });
    const resumed = await run({ iterations: 1, resume: structuredClone(saved[2]!) });
    expect(Array.from(resumed.dataSync())).toEqual(Array.from(whole.dataSync()));
    await expectNoLeak(() => run({ resume: saved[2]! }), {
      throws:
        'invertDdim: expected options.resume to be a run with iterations 0, as this one, received one with iterations 1.',
    });
    tf.dispose([whole, resumed]);
  });

  it('names x0 where it is no data, or not finite', async () => {
    for (const [make, throws] of [
      [() => tf.fill([8, 2], NaN), 'invertDdim: expected x0 to hold finite numbers, received NaN.'],
      [
        () => tf.ones([8, 2], 'int32'),
        'invertDdim: expected x0 to be a float32 batch [B, …], received int32 of shape [8,2].',
      ],
    ] as const) {
      const x0 = make() as Tensor2D;
      await expectNoLeak(() => invertDdim(soft, x0, SIGMAS), { throws });
      x0.dispose();
    }
    await expectNoLeak(() => run({ iterations: '2' as never }), {
      throws: "invertDdim: expected iterations to be a whole number from 0, received '2'.",
    });
  });

  it('frees everything: when done, left, aborted, and on bad arguments', async () => {
    await expectNoLeak(() => run());
    await expectNoLeak(() => run({ iterations: 2 }));
    await expectNoLeak(async () => {
      const x0 = data();
      for await (const { index } of iterateInvertDdim(soft, x0, SIGMAS)) if (index === 1) break;
      x0.dispose();
    });
    const throwing = (options: InvertDdimOptions, throws: string, sigmas?: number[], denoiser?: Denoiser<Tensor2D>) =>
      expectNoLeak(() => run(options, sigmas, denoiser), { throws });
    for (const iterations of [-1, 1.5, NaN]) {
      await throwing(
        { iterations },
        `invertDdim: expected iterations to be a whole number from 0, received ${iterations}.`,
      );
    }
    await throwing({ signal: AbortSignal.abort() }, 'invertDdim: aborted before the first step.');
    await throwing(
      {},
      'invertDdim: expected sigmas that fall with every step, received sigmas[0] = 1 and then sigmas[1] = 2.',
      [1, 2, 0],
    );
    await throwing(
      {},
      'invertDdim: expected the last sigma to be 0, so that no noise is left in the result, received 1. Append a 0, or set keepNoise to stop there.',
      [2, 1],
    );
    await throwing(
      {},
      'invertDdim: the denoiser returned NaN or infinity at step 1 of 4 (sigma 1)',
      SIGMAS,
      (x, sigma, step) => (step.index === 1 ? tf.fill(x.shape, NaN) : soft(x, sigma, step)),
    );
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  initialNoise,
  iterateDdim,
  iterateDpmSolverPp2m,
  iterateEuler,
  iterateRestart,
  perItemNoise,
  restartSegments,
  sampleDdim,
  sampleRestart,
  type Denoiser,
  type Iterate,
  type Noise,
  type Restart,
  type RestartOptions,
  type SavedRun,
} from './index';
import { describeMoments, lawOf, NORMAL, normalDenoiser } from './testing/describe-law';
import { describeSampler } from './testing/describe-sampler';
import { smoothSigmas } from './testing/oracles';

type Options = Omit<RestartOptions<tf.Tensor2D>, 'solver' | 'restarts'>;

describeSampler('Restart without restarts', {
  name: 'iterateDdim',
  sample: (denoiser, xT, sigmas, options) =>
    sampleRestart(denoiser, xT, sigmas, { ...options, solver: iterateDdim, restarts: [] }),
  iterate: (denoiser, xT, sigmas, options) =>
    iterateRestart(denoiser, xT, sigmas, { ...options, solver: iterateDdim, restarts: [] }),
});
describeMoments(
  'Restart with DPM-Solver++ 2M',
  (denoiser, xT, sigmas, options) =>
    sampleRestart(denoiser, xT, sigmas, {
      ...options,
      solver: iterateDpmSolverPp2m,
      restarts: [{ sigmaMin: 0.3, sigmaMax: 1.5, times: 2, steps: 12 }],
    }),
  60,
);

describe('restartSegments', () => {
  it('goes back up at the nearest level of the run, and down again by the seventh root', () => {
    const segments = restartSegments(
      [8, 4, 2, 1, 0],
      [
        { sigmaMin: 0.9, sigmaMax: 3, times: 2, steps: 2 },
        { sigmaMin: 2.9, sigmaMax: 8, times: 1, steps: 1 },
        { sigmaMin: 4, sigmaMax: 8, times: 0, steps: 5 },
      ],
    );
    const middle = ((3 ** (1 / 7) + 1) / 2) ** 7;
    expect(segments.map((segment) => [...segment])).toEqual([
      [8, 4],
      [8, 4], // 2.9 is nearer to 4 than to 2: 4 / 2.9 < 2.9 / 2
      [4, 2, 1],
      [3, middle, 1],
      [3, middle, 1],
      [1, 0],
    ]);
  });

  it('takes restarts at one level in the order given, never at 0, and at the end of a run that keeps its noise', () => {
    const ends = (sigmas: number[], restarts: Restart[]) =>
      restartSegments(sigmas, restarts).map((segment) => [segment[0], segment.at(-1)]);
    const at = (sigmaMin: number, sigmaMax: number): Restart => ({ sigmaMin, sigmaMax, times: 1, steps: 3 });
    expect(ends([8, 2, 1, 0], [at(1, 6), at(1, 3)])).toEqual([
      [8, 1],
      [6, 1],
      [3, 1],
      [1, 0],
    ]);
    expect(ends([8, 2, 1, 0], [at(1e-9, 2)])).toEqual([
      [8, 1],
      [2, 1],
      [1, 0],
    ]);
    expect(ends([8, 2, 1], [at(1, 2)])).toEqual([
      [8, 1],
      [2, 1],
    ]);
    expect(ends([8, 2, 0], [])).toEqual([[8, 0]]);
  });

  it('names what does not fit', () => {
    const message = (restart: Partial<Restart>, sigmas = [8, 4, 2, 0]) => {
      try {
        restartSegments(sigmas, [{ sigmaMin: 2, sigmaMax: 4, times: 1, steps: 1, ...restart }]);
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    };
    const expected = 'restartSegments: expected restarts[0]';
    expect(message({ times: -1 })).toBe(`${expected}.times to be a whole number from 0, received -1.`);
    expect(message({ steps: 0 })).toBe(`${expected}.steps to be a whole number from 1, received 0.`);
    expect(message({ sigmaMin: 0 })).toBe(`${expected}.sigmaMin to be a number above 0, received 0.`);
    for (const sigmaMax of [2, 9, NaN]) {
      expect(message({ sigmaMax })).toBe(
        `${expected}.sigmaMax to be above 2, the run's level nearest to its sigmaMin, and at most 8, its first, received ${sigmaMax}.`,
      );
    }
    expect(message({}, [8, 4, 4, 0])).toBe(
      'restartSegments: expected sigmas that fall with every step, received sigmas[1] = 4 and then sigmas[2] = 4.',
    );
  });
});

describe('sampleRestart', () => {
  const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tidy(() => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma)));
  const noise = perItemNoise([11, 12]);
  const sigmas = [8, 4, 2, 1, 0];
  const restarts: Restart[] = [
    { sigmaMin: 1, sigmaMax: 3, times: 2, steps: 2 },
    { sigmaMin: 4, sigmaMax: 8, times: 1, steps: 1 },
  ];
  const STEPS = 4 + 2 * 2 + 1;
  const ancestral: Iterate<tf.Tensor2D> = (d, x, s, o) => iterateDdim(d, x, s, { ...o, eta: 1 });

  const twoM: Iterate<tf.Tensor2D> = iterateDpmSolverPp2m;
  const plainDdim: Iterate<tf.Tensor2D> = iterateDdim;

  async function run(
    denoiser: Denoiser<tf.Tensor2D> = soft,
    options: Options = {},
    solver = twoM,
  ): Promise<tf.Tensor2D> {
    const xT = initialNoise<tf.Rank.R2>(noise, [2, 3], sigmas);
    try {
      return await sampleRestart(denoiser, xT, sigmas, { noise, ...options, solver, restarts });
    } finally {
      xT.dispose();
    }
  }

  async function valuesOf(result: Promise<tf.Tensor2D>): Promise<number[]> {
    const tensor = await result;
    const values = Array.from(tensor.dataSync());
    tensor.dispose();
    return values;
  }

  it('numbers its steps through, for the denoiser, onStep and the loop', async () => {
    const calls: unknown[] = [];
    const told: unknown[] = [];
    const looped: unknown[] = [];
    const watched: Denoiser<tf.Tensor2D> = (x, sigma, step) => (calls.push([sigma, step]), soft(x, sigma, step));
    const xT = initialNoise<tf.Rank.R2>(noise, [2, 3], sigmas);
    const options = {
      noise,
      solver: plainDdim,
      restarts,
      onStep: ({ index, steps }: { index: number; steps: number }) => void told.push([index, steps]),
    };
    for await (const { index, steps } of iterateRestart(watched, xT, sigmas, options)) looped.push([index, steps]);
    xT.dispose();
    const numbers = Array.from({ length: STEPS }, (_, index) => [index, STEPS]);
    const middle = ((3 ** (1 / 7) + 1) / 2) ** 7;
    expect(calls).toEqual(
      [8, 8, 4, 2, 3, middle, 3, middle, 1].map((sigma, index) => [sigma, { index, steps: STEPS }]),
    );
    expect(told).toEqual(numbers);
    expect(looped).toEqual(numbers);
  });

  it('is a run of its own to churn in each segment: sChurn is spread over its steps, and the first of them has none', async () => {
    const levels: number[] = [];
    const watched: Denoiser<tf.Tensor2D> = (x, sigma, step) => (levels.push(sigma), soft(x, sigma, step));
    const churned: Iterate<tf.Tensor2D> = (d, x, s, o) => iterateEuler(d, x, s, { ...o, sChurn: 0.5 });
    const xT = tf.ones([2, 3]) as tf.Tensor2D;
    const once = [{ sigmaMin: 2, sigmaMax: 4, times: 1, steps: 2 }];
    (await sampleRestart(watched, xT, sigmas, { noise, solver: churned, restarts: once })).dispose();
    xT.dispose();
    const middle = ((4 ** (1 / 7) + 2 ** (1 / 7)) / 2) ** 7;
    const raised = [8, 4 * 1.25, 4, middle * 1.25, 2, 1.25]; // each segment has two steps
    expect(levels).toHaveLength(6);
    levels.forEach((level, i) => expect(level).toBeCloseTo(raised[i]!, 12));
  });

  it('draws noise of its own number for each step and restart', async () => {
    const drawn: number[] = [];
    const counted: Noise = (shape, step, draw) => (drawn.push(step), noise(shape, step, draw));
    (await run(soft, { noise: counted })).dispose();
    expect(drawn).toEqual([9, 10, 11]);
    drawn.length = 0;
    (await run(soft, { noise: counted }, ancestral)).dispose();
    expect(drawn).toEqual([0, 9, 1, 2, 3, 10, 4, 5, 11, 6, 7]); // none in the last step, to 0
  });

  it('is a run to each restart, noise, and a run from there, to the bit', async () => {
    const xT = initialNoise<tf.Rank.R2>(noise, [2, 3], sigmas);
    const again = { sigmaMin: 2, sigmaMax: 4, times: 1, steps: 1 };
    const whole = await sampleRestart(soft, xT, sigmas, { noise, solver: iterateDdim, restarts: [again] });
    const first = await sampleDdim(soft, xT, [8, 4, 2], { keepNoise: true });
    const up = tf.add<tf.Tensor2D>(first, tf.mul(noise([2, 3], 5), Math.sqrt(12)));
    const second = await sampleDdim(soft, up, [4, 2], { keepNoise: true });
    const last = await sampleDdim(soft, second, [2, 1, 0]);
    expect(Array.from(whole.dataSync())).toEqual(Array.from(last.dataSync()));
    tf.dispose([xT, whole, first, up, second, last]);
  });

  it('wipes out an error made above: in the mean, the more the more often', async () => {
    const levels = smoothSigmas(10, 60);
    const of = (times: number) =>
      lawOf(
        (denoiser, xT, sigmas, options) =>
          sampleRestart(denoiser, xT, sigmas, {
            ...options,
            solver: iterateDpmSolverPp2m,
            restarts: [{ sigmaMin: 0.3, sigmaMax: 3, times, steps: 12 }],
          }),
        normalDenoiser(NORMAL),
        { mean: NORMAL.mean + 5, variance: NORMAL.variance + 100 }, // a start that is off by 5
        levels,
        60 + 13 * times,
      );
    const [never, once, twice] = await Promise.all([0, 1, 2].map(of));
    const biases = [never, once, twice].map((law) => Math.abs(law!.mean - NORMAL.mean));
    // The ODE takes an error in the mean from 3 to 0.3 by the factor sqrt((v + 0.09) / (v + 9)), v the variance of the data.
    const factor = Math.sqrt(0.59 / 9.5);
    expect(biases[0]).toBeGreaterThan(0.3);
    expect(biases[1]! / biases[0]!).toBeCloseTo(factor, 2);
    expect(biases[2]! / biases[1]!).toBeCloseTo(factor, 2);
  });

  it('goes on after any step from what was saved to the same result, to the byte', async () => {
    for (const solver of [iterateDpmSolverPp2m<tf.Tensor2D>, ancestral]) {
      const saved: SavedRun[] = [];
      const onStep = async (step: { save(): Promise<SavedRun> }) => void saved.push(await step.save());
      const result = await valuesOf(run(soft, { onStep }, solver));
      expect(saved.map(({ solver, stepsDone }) => [solver, stepsDone])).toEqual(
        Array.from({ length: STEPS }, (_, index) => ['restart', index + 1]),
      );
      for (const resume of saved.slice(0, -1)) {
        expect(await valuesOf(run(soft, { resume: structuredClone(resume) }, solver))).toEqual(result);
      }
    }
  });

  it('refuses to go on with a run of other restarts, or of another solver', async () => {
    const saved: SavedRun[] = [];
    const onStep = async (step: { save(): Promise<SavedRun> }) => void saved.push(await step.save());
    (await run(soft, { onStep })).dispose();
    const xT = tf.zeros([2, 3]) as tf.Tensor2D;
    const others = { noise, solver: twoM, restarts: [restarts[0]!] };
    await expectNoLeak(() => sampleRestart(soft, xT, sigmas, { ...others, resume: saved[2]! }), {
      throws: /^sampleRestart: expected options.resume to be a run with restarts /,
    });
    await expectNoLeak(() => run(soft, { resume: saved[2]! }, iterateDdim), {
      throws:
        /^sampleRestart: in segment 3 of 6, from sigma 4 to 1: iterateDdim: expected options.resume to be a run of ddim/,
    });
    xT.dispose();
    // What a restart says may be written in any order.
    const reversed = restarts.map((restart) => Object.fromEntries(Object.entries(restart).reverse()) as Restart);
    const again = sampleRestart(soft, tf.zeros([2, 3]) as tf.Tensor2D, sigmas, {
      ...{ noise, solver: twoM, restarts: reversed, resume: saved[2]! },
    });
    expect(await valuesOf(again)).toEqual(await valuesOf(run(soft, { resume: saved[2]! })));
  });

  it('refuses to go on with a run that is finished, also though it has passed more levels than steps', async () => {
    const saved: SavedRun[] = [];
    const onStep = async (step: { save(): Promise<SavedRun> }) => void saved.push(await step.save());
    (await run(soft, { onStep })).dispose();
    expect(saved).toHaveLength(STEPS);
    await expectNoLeak(() => run(soft, { resume: saved.at(-1)! }), {
      throws: `sampleRestart: expected options.resume to be a run with 1 to ${STEPS - 1} of ${STEPS} steps done, received one with ${STEPS}.`,
    });
  });

  it('refuses noise of another shape or kind where it goes back up, and a solver that leaves out its last step', async () => {
    const oneForAll: Noise = ([, width]) => tf.ones([1, width!]);
    await expectNoLeak(() => run(soft, { noise: oneForAll }), {
      throws: /^sampleRestart: expected noise to return float32 of shape \[2,3\] at step .* received float32 of shape \[1,3\]/,
    });
    await expectNoLeak(() => run(soft, { noise: 5 as never }), {
      throws: 'sampleRestart: expected options.noise to be a function as from perItemNoise(seeds), received 5.',
    });
    const short: Iterate<tf.Tensor2D> = async function* (...run) {
      for await (const step of iterateDdim(...run)) if (step.index < step.steps - 1) yield step;
    };
    await expectNoLeak(() => run(soft, {}, short), { throws: /received one that ends before its last step\.$/ });
  });

  it('goes on from a state that was replaced, at the end of a segment as within', async () => {
    const plain = await valuesOf(run());
    for (const index of [0, 2, 3, 5, 8]) {
      const replaced = await valuesOf(
        run(soft, { onStep: (step) => (step.index === index ? { x: tf.ones([2, 3]) } : undefined) }),
      );
      const xT = initialNoise<tf.Rank.R2>(noise, [2, 3], sigmas);
      let looped: number[] = [];
      for await (const step of iterateRestart(soft, xT, sigmas, { noise, solver: iterateDpmSolverPp2m, restarts })) {
        if (step.index === index) step.replace(tf.ones([2, 3]));
        looped = Array.from(step.x.dataSync());
      }
      xT.dispose();
      expect(looped).toEqual(replaced);
      expect(replaced).not.toEqual(plain);
    }
  });

  it('names the segment when something goes wrong, with code and cause, and frees everything', async () => {
    const poisoned: Denoiser<tf.Tensor2D> = (x, sigma, step) =>
      step.index === 5 ? tf.fill([2, 3], NaN) : soft(x, sigma, step);
    const middle = ((3 ** (1 / 7) + 1) / 2) ** 7;
    await expect(run(poisoned)).rejects.toMatchObject({
      name: 'SamplerError',
      code: 'not_finite',
      message:
        `sampleRestart: in segment 4 of 6, from sigma 3 to 1: iterateDpmSolverPp2m: the denoiser returned NaN or ` +
        `infinity at step 1 of 2 (sigma ${middle}), for a finite input. ` +
        `Look at the model's weights, its conditions and its range of sigmas.`,
    });
    await expectNoLeak(() => run(poisoned), { throws: 'in segment 4 of 6' });
    const controller = new AbortController();
    const reason = new Error('enough');
    const onStep = ({ index }: { index: number }) => void (index === 4 && controller.abort(reason));
    const error: unknown = await run(soft, { signal: controller.signal, onStep }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      name: 'AbortError',
      code: 'aborted',
      cause: reason,
      message: 'sampleRestart: in segment 4 of 6, from sigma 3 to 1: iterateDpmSolverPp2m: aborted after step 0 of 2.',
    });
    await expectNoLeak(() => run(soft, { onStep: () => Promise.reject(new Error('mine')) }), { throws: 'mine' });
    await expectNoLeak(() => run(soft, { noise: undefined }), {
      throws: 'sampleRestart: expected options.noise, which restarts need, received none. Pass perItemNoise(seeds).',
    });
  });

  it('leaves nothing behind but its result, nor when the loop is left early', async () => {
    await expectNoLeak(() => run());
    const leave = async () => {
      const xT = initialNoise<tf.Rank.R2>(noise, [2, 3], sigmas);
      for await (const { index } of iterateRestart(soft, xT, sigmas, { noise, solver: iterateDdim, restarts })) {
        if (index === 5) break;
      }
      xT.dispose();
    };
    await expectNoLeak(leave);
  });

  it('with keepNoise may end above 0, and does not without', async () => {
    const xT = tf.ones([2, 3]) as tf.Tensor2D;
    const options = { noise, solver: plainDdim, restarts: [{ sigmaMin: 2, sigmaMax: 3, times: 1, steps: 1 }] };
    (await sampleRestart(soft, xT, [4, 2, 1], { ...options, keepNoise: true })).dispose();
    await expect(sampleRestart(soft, xT, [4, 2, 1], options)).rejects.toThrow(
      'sampleRestart: in segment 3 of 3, from sigma 2 to 1: iterateDdim: expected the last sigma to be 0',
    );
    xT.dispose();
  });
});

// The contract that every sampler passes, whatever its method. B batch, D dimensions.
import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSchedule,
  denoiserFromModel,
  initialNoise,
  perItemNoise,
  samplingSigmas,
  type Denoiser,
  type Noise,
  type Prediction,
  type SampleOptions,
  type SamplingStep,
  type SavedRun,
  type ScheduleKind,
  type StepSpacing,
} from '../index';

type Tensor2D = tf.Tensor2D;

/** A sampler as its package offers it, with the options under test already bound. */
export type SamplerUnderTest = {
  /** Name of the `sample…` function, as its messages have it. */
  readonly name: string;
  readonly sample: (
    denoiser: Denoiser<Tensor2D>,
    xT: Tensor2D,
    sigmas: ArrayLike<number>,
    options?: SampleOptions,
  ) => Promise<Tensor2D>;
  readonly iterate: (
    denoiser: Denoiser<Tensor2D>,
    xT: Tensor2D,
    sigmas: ArrayLike<number>,
    options?: SampleOptions,
  ) => AsyncGenerator<SamplingStep<Tensor2D>, void, void>;
  /** What the message says needs noise; absent for a deterministic sampler. */
  readonly needsNoise?: string;
  /** Whether step `index` draws noise, of a sampler that needs it; default every step but the one to sigma 0. */
  readonly drawsNoise?: (index: number, sigmas: ArrayLike<number>) => boolean;
  /** Levels at which the network is called in step `index`; default the step's own. */
  readonly callsOf?: (index: number, sigmas: ArrayLike<number>) => readonly number[];
  /** The method of which a saved run is, where that is another than `name`: one that takes its steps with another. */
  readonly savedBy?: string;
  /** How many tensors of earlier steps are saved after two steps of four; default none. */
  readonly remembers?: number;
  /** The result is drawn on from several predictions, so it is the last one only up to rounding, where those agree. */
  readonly extrapolates?: boolean;
};

const SIGMAS = [8, 4, 2, 1, 0];
const SHAPE = [2, 3] as const;
const SCHEDULE = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

/** A smooth denoiser that is nobody's ideal: enough to see what a sampler does with its answers. */
const soft: Denoiser<Tensor2D> = (x, sigma) => tf.tidy(() => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma)));

export function describeSampler(label: string, sampler: SamplerUnderTest): void {
  const { name, sample, iterate, needsNoise, savedBy = sampler.name, remembers = 0, extrapolates = false } = sampler;
  const drawsNoise = sampler.drawsNoise ?? ((index: number, sigmas: ArrayLike<number>) => sigmas[index + 1]! > 0);
  const callsOf = sampler.callsOf ?? ((index: number, sigmas: ArrayLike<number>) => [sigmas[index]!]);
  const noise = perItemNoise([11, 12]);

  /** What `f` makes of every network call of a run, given the step it is in and its level. */
  function atEachCall<R>(sigmas: ArrayLike<number>, f: (index: number, sigma: number) => R): R[] {
    return Array.from({ length: sigmas.length - 1 }, (_, index) => index).flatMap((index) =>
      callsOf(index, sigmas).map((sigma) => f(index, sigma)),
    );
  }

  /** For a result that a sampler which does not extrapolate has to the last bit. */
  function expectPoint(values: readonly number[], point: number): void {
    if (!extrapolates) expect(values).toEqual(Array(6).fill(point));
    else expect(values).toBeAllClose(Array(6).fill(point), { rtol: 0, atol: 1e-5 }); // float32 differences of up to 30
  }

  async function run(
    denoiser: Denoiser<Tensor2D>,
    options: SampleOptions = {},
    sigmas: ArrayLike<number> = SIGMAS,
  ): Promise<Tensor2D> {
    const xT = initialNoise<tf.Rank.R2>(options.noise ?? noise, [...SHAPE], [8]);
    try {
      return await sample(denoiser, xT, sigmas, { noise, ...options });
    } finally {
      xT.dispose();
    }
  }

  async function valuesOf(result: Promise<Tensor2D>): Promise<number[]> {
    const tensor = await result;
    const values = Array.from(tensor.dataSync());
    tensor.dispose();
    return values;
  }

  describe(`${label}: the contract of a sampler`, () => {
    beforeAll(() => setupBackend('cpu'));

    describe('steps and network calls', () => {
      const KINDS: readonly ScheduleKind[] = ['sqrt-linear', 'linear', 'cosine'];
      const SPACINGS: readonly StepSpacing[] = ['trailing', 'leading', 'linspace'];
      const PREDICTIONS: readonly Prediction[] = ['eps', 'v', 'x0'];
      const schedules = KINDS.map((kind) =>
        createSchedule({ kind, timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 }),
      );

      async function takesItsSteps(steps: number, kind: number, spacing: StepSpacing, prediction: Prediction) {
        const sigmas = samplingSigmas(schedules[kind]!, steps, { spacing });
        const seen: number[] = [];
        const inner = denoiserFromModel<Tensor2D>(
          (x) => tf.tanh(tf.mul<Tensor2D>(x, 0.9)),
          schedules[kind]!,
          prediction,
        );
        const draw = perItemNoise([steps]);
        const xT = initialNoise<tf.Rank.R2>(draw, [1, 2], sigmas);
        const y = await sample((x, sigma, at) => (seen.push(sigma), inner(x, sigma, at)), xT, sigmas, { noise: draw });
        expect(seen).toEqual(atEachCall(sigmas, (_, sigma) => sigma));
        expect(Array.from(y.dataSync()).every(Number.isFinite)).toBe(true);
        tf.dispose([xT, y]);
      }

      it('calls the network as often as documented, at falling sigmas, for every step count from 1 to 100 and for 1000', async () => {
        for (let steps = 1; steps <= 100; steps++) {
          await takesItsSteps(
            steps,
            steps % 3,
            SPACINGS[Math.floor(steps / 3) % 3]!,
            PREDICTIONS[Math.floor(steps / 9) % 3]!,
          );
        }
        await takesItsSteps(1000, 0, 'trailing', 'v');
      });

      it('does so for any schedule, spacing, prediction and step count, and stays finite', async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.integer({ min: 1, max: 60 }),
            fc.integer({ min: 0, max: 2 }),
            fc.constantFrom(...SPACINGS),
            fc.constantFrom(...PREDICTIONS),
            takesItsSteps,
          ),
          { numRuns: 30, seed: 5 },
        );
      });

      it('tells the denoiser which step of how many it is in', async () => {
        const seen: unknown[] = [];
        (await run((x, sigma, step) => (seen.push({ ...step }), soft(x, sigma, step)))).dispose();
        expect(seen).toEqual(atEachCall(SIGMAS, (index) => ({ index, steps: 4 })));
      });
    });

    describe('what comes out', () => {
      it(`is the point itself, to ${extrapolates ? 'rounding' : 'the last bit'}, when the denoiser knows one point only`, async () => {
        expectPoint(await valuesOf(run((x) => tf.fill(x.shape, 0.625))), 0.625);
      });

      it(`is ${extrapolates ? '' : 'the last predicted x0, and is '}seen by onStep and by the loop alike`, async () => {
        const told: number[][] = [];
        const looped: number[][] = [];
        const copy = ({ index, steps, sigma, sigmaNext, x0, x }: SamplingStep) => [
          ...[index, steps, sigma, sigmaNext],
          ...x0.dataSync(),
          ...x.dataSync(),
        ];
        const result = await valuesOf(run(soft, { onStep: (step) => void told.push(copy(step)) }));
        const xT = initialNoise<tf.Rank.R2>(noise, [...SHAPE], [8]);
        for await (const step of iterate(soft, xT, SIGMAS, { noise })) looped.push(copy(step));
        xT.dispose();
        expect(looped).toEqual(told);
        expect(told.map((step) => step.slice(0, 4))).toEqual([
          [0, 4, 8, 4],
          [1, 4, 4, 2],
          [2, 4, 2, 1],
          [3, 4, 1, 0],
        ]);
        if (!extrapolates) expect(told[3]!.slice(4, 10)).toEqual(result);
        expect(told[3]!.slice(10)).toEqual(result);
      });

      it('is the same to the last bit when repeated with the same noise', async () => {
        expect(await valuesOf(run(soft))).toEqual(await valuesOf(run(soft)));
      });

      it('depends for each item on its own seed only, not on the size or order of the batch', async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.uniqueArray(fc.integer({ min: 0, max: 2 ** 40 }), { minLength: 2, maxLength: 5 }),
            async (seeds) => {
              const draw = async (batch: readonly number[]) => {
                const own = perItemNoise(batch);
                const xT = initialNoise<tf.Rank.R2>(own, [batch.length, 3], SIGMAS);
                const values = await valuesOf(sample(soft, xT, SIGMAS, { noise: own }));
                xT.dispose();
                return batch.map((seed, item) => [seed, values.slice(3 * item, 3 * item + 3)]);
              };
              const together = await draw(seeds);
              const alone = (await Promise.all(seeds.map((seed) => draw([seed])))).flat();
              const reversed = (await draw([...seeds].reverse())).reverse();
              expect(together).toEqual(alone);
              expect(reversed).toEqual(alone);
            },
          ),
          { numRuns: 10, seed: 7 },
        );
      });

      it('is the same for float64 and for plain lists of sigmas, and leaves xT and the sigmas as they were', async () => {
        const xT = initialNoise<tf.Rank.R2>(noise, [...SHAPE], SIGMAS);
        const before = Array.from(xT.dataSync());
        const sigmas = Float64Array.from(SIGMAS);
        const typed = await valuesOf(sample(soft, xT, sigmas, { noise }));
        expect(await valuesOf(sample(soft, xT, SIGMAS, { noise }))).toEqual(typed);
        expect(Array.from(xT.dataSync())).toEqual(before);
        expect(Array.from(sigmas)).toEqual(SIGMAS);
        xT.dispose();
      });

      it('does not change when the caller overwrites the sigmas during the run', async () => {
        const sigmas = Float64Array.from(SIGMAS);
        const values = await valuesOf(run(soft, { onStep: () => void sigmas.fill(-1) }, sigmas));
        expect(values).toEqual(await valuesOf(run(soft)));
      });

      it('with keepNoise stops at a last sigma above 0, in the state that a longer run has there', async () => {
        const states: number[][] = [];
        (await run(soft, { onStep: ({ x }) => void states.push(Array.from(x.dataSync())) })).dispose();
        expect(await valuesOf(run(soft, { keepNoise: true }, [8, 4, 2]))).toEqual(states[1]);
        expect(await valuesOf(run(soft, { keepNoise: true }))).toEqual(states[3]); // a 0 at the end is no harm
        await expectNoLeak(() => run(soft, { keepNoise: true }, [8, 4, 2]));
      });

      it(needsNoise ? 'draws noise once in each step that is to have it' : 'never draws noise', async () => {
        const drawn: number[] = [];
        const counted: Noise = (shape, step) => (drawn.push(step), noise(shape, step));
        const xT = initialNoise<tf.Rank.R2>(noise, [...SHAPE], SIGMAS);
        (await sample(soft, xT, SIGMAS, { noise: counted })).dispose();
        expect(drawn).toEqual([0, 1, 2, 3].filter((index) => needsNoise && drawsNoise(index, SIGMAS)));
        drawn.length = 0;
        (await sample(soft, xT, [8, 4, 2], { noise: counted, keepNoise: true })).dispose();
        expect(drawn).toEqual([0, 1].filter((index) => needsNoise && drawsNoise(index, [8, 4, 2])));
        xT.dispose();
      });
    });

    describe('control', () => {
      it('does not start when the signal is aborted already', async () => {
        let calls = 0;
        const reason = new Error('enough');
        const error = await run((x) => (calls++, tf.clone(x)), { signal: AbortSignal.abort(reason) }).catch(
          (e: unknown) => e,
        );
        expect(error).toMatchObject({
          name: 'AbortError',
          code: 'aborted',
          message: `${name}: aborted before the first step.`,
          cause: reason,
        });
        expect(calls).toBe(0);
      });

      it('stops within the step in which the signal is aborted', async () => {
        const controller = new AbortController();
        let calls = 0;
        const stopping: Denoiser<Tensor2D> = (x, sigma, step) => {
          calls++;
          if (step.index === 1) controller.abort();
          return soft(x, sigma, step);
        };
        await expect(run(stopping, { signal: controller.signal })).rejects.toThrow(
          `${name}: aborted after step 1 of 4.`,
        );
        expect(calls).toBe(atEachCall(SIGMAS, (index) => index).filter((index) => index <= 1).length);
      });

      it('stops before the next network call when onStep aborts', async () => {
        const controller = new AbortController();
        let calls = 0;
        const counted: Denoiser<Tensor2D> = (x, sigma, step) => (calls++, soft(x, sigma, step));
        const onStep = ({ index }: SamplingStep) => void (index === 2 && controller.abort());
        await expect(run(counted, { signal: controller.signal, onStep })).rejects.toThrow(
          `${name}: aborted after step 2 of 4.`,
        );
        expect(calls).toBe(atEachCall(SIGMAS, (index) => index).filter((index) => index <= 2).length);
      });

      it('looks at the signal after the last step, too, and does not tell onStep of a step after an abort', async () => {
        const told: number[] = [];
        const abortIn = async (at: number) => {
          const controller = new AbortController();
          told.length = 0;
          const stopping: Denoiser<Tensor2D> = (x, sigma, step) => {
            if (step.index === at) controller.abort();
            return soft(x, sigma, step);
          };
          const onStep = ({ index }: SamplingStep) => void told.push(index);
          await expectNoLeak(() => run(stopping, { signal: controller.signal, onStep }), {
            throws: `${name}: aborted after step ${at} of 4.`,
          });
        };
        await abortIn(3);
        expect(told).toEqual([0, 1, 2]);
        await abortIn(0);
        expect(told).toEqual([]);
      });

      it('lets timers through between steps, so that one can stop a long run', async () => {
        const controller = new AbortController();
        let calls = 0;
        const counted: Denoiser<Tensor2D> = (x, sigma, step) => (calls++, soft(x, sigma, step));
        setTimeout(() => controller.abort(), 5);
        const error = await run(counted, { signal: controller.signal }, samplingSigmas(SCHEDULE, 1000)).catch(
          (e: unknown) => e,
        );
        expect(error).toMatchObject({ name: 'AbortError' });
        expect(calls).toBeLessThan(1000);
      });

      it('waits for an asynchronous onStep before the next step', async () => {
        const order: string[] = [];
        const logged: Denoiser<Tensor2D> = (x, sigma, step) => (order.push(`call ${step.index}`), soft(x, sigma, step));
        const onStep = async ({ index }: SamplingStep) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          order.push(`told ${index}`);
        };
        (await run(logged, { onStep })).dispose();
        const turns = [0, 1, 2, 3].map((index) => [
          ...callsOf(index, SIGMAS).map(() => `call ${index}`),
          `told ${index}`,
        ]);
        expect(order).toEqual(turns.flat());
      });
    });

    describe('another state', () => {
      const given = () => tf.tensor2d([0.5, -1, 2, 0, 3, -0.25], [...SHAPE]);

      /** The values of a run whose state after step 1 is replaced in the body of the loop. */
      async function looped(): Promise<number[]> {
        const xT = initialNoise<tf.Rank.R2>(noise, [...SHAPE], SIGMAS);
        let values: number[] = [];
        for await (const step of iterate(soft, xT, SIGMAS, { noise })) {
          if (step.index === 1) step.replace(given());
          values = Array.from(step.x.dataSync());
        }
        xT.dispose();
        return values;
      }

      it('is gone on from when onStep returns it, or the loop puts it there: alike, and to another result', async () => {
        const returned = await valuesOf(
          run(soft, { onStep: ({ index }) => (index === 1 ? { x: given() } : undefined) }),
        );
        const awaited = await valuesOf(
          run(soft, { onStep: async (step) => void (step.index === 1 && step.replace(given())) }),
        );
        expect(awaited).toEqual(returned);
        expect(await looped()).toEqual(returned);
        expect(returned).not.toEqual(await valuesOf(run(soft)));
      });

      it('of the same numbers changes nothing', async () => {
        const same = await valuesOf(run(soft, { onStep: ({ x }) => ({ x: tf.clone(x) }) }));
        expect(same).toEqual(await valuesOf(run(soft)));
        expect(await valuesOf(run(soft, { onStep: ({ x }) => ({ x }) }))).toEqual(same); // handing back what was borrowed does no harm
      });

      it('is seen in step.x at once, and is the result when it is given after the last step', async () => {
        const seen: number[][] = [];
        const onStep = (step: SamplingStep) => {
          step.replace(given());
          seen.push(Array.from(step.x.dataSync()));
        };
        const result = await valuesOf(run(soft, { onStep }));
        expect(result).toEqual([0.5, -1, 2, 0, 3, -0.25]);
        expect(seen).toEqual(Array(4).fill(result));
      });

      it('leaves nothing behind', async () => {
        await expectNoLeak(() => run(soft, { onStep: () => ({ x: given() }) }));
        await expectNoLeak(() => run(soft, { onStep: (step) => (step.replace(given()), step.replace(given())) }));
        await expectNoLeak(looped);
      });

      it('has to be a float32 tensor of the same shape, not disposed and finite; a wrong one is freed too', async () => {
        const disposed = given();
        disposed.dispose();
        const wrong: readonly [make: () => unknown, received: string][] = [
          [() => tf.ones([2, 4]), 'float32 of shape [2,4]'],
          [() => tf.ones([2, 3], 'int32'), 'int32 of shape [2,3]'],
          [() => disposed, 'a disposed tensor, float32 of shape [2,3]'],
          [() => [1, 2], '[object Array]'],
        ];
        for (const [make, received] of wrong) {
          const onStep = ({ index }: SamplingStep) => (index === 2 ? { x: make() as tf.Tensor } : undefined);
          await expectNoLeak(() => run(soft, { onStep }), {
            throws: `${name}: expected the new x after step 2 of 4 to be float32 of shape [2,3], received ${received}.`,
          });
        }
        for (const index of [1, 3]) {
          const onStep = (step: SamplingStep) => (step.index === index ? { x: tf.fill([2, 3], NaN) } : undefined);
          await expectNoLeak(() => run(soft, { onStep }), {
            throws: `${name}: the new x given after step ${index} of 4 holds NaN or infinity.`,
          });
        }
      });

      it('that is not finite is refused in the step in which the body of a loop gives it, the last one included', async () => {
        for (const at of [1, 3]) {
          const loop = async () => {
            const xT = initialNoise<tf.Rank.R2>(noise, [...SHAPE], SIGMAS);
            try {
              for await (const step of iterate(soft, xT, SIGMAS, { noise }))
                if (step.index === at) step.replace(tf.fill([2, 3], Infinity));
            } finally {
              xT.dispose();
            }
          };
          await expectNoLeak(loop, { throws: `: the new x given after step ${at} of 4 holds NaN or infinity.` });
        }
      });

      it('cannot be given to a step that is over', async () => {
        const steps: SamplingStep[] = [];
        (await run(soft, { onStep: (step) => void steps.push(step) })).dispose();
        const late = (what: string) =>
          `${name}: expected ${what} to be called while the step lives, received a call after step 0 of 4 was over. ` +
          `Call it in onStep or in the body of the loop.`;
        expect(() => steps[0]!.replace(null as unknown as tf.Tensor)).toThrow(late('replace'));
        await expect(steps[0]!.save()).rejects.toThrow(late('save'));
      });
    });

    describe('saving and going on', () => {
      /** What a run is after each step, and its result. */
      async function savedAll(): Promise<{ saved: SavedRun[]; result: number[] }> {
        const saved: SavedRun[] = [];
        const result = await valuesOf(run(soft, { onStep: async (step) => void saved.push(await step.save()) }));
        return { saved, result };
      }
      const throughJson = (saved: SavedRun) =>
        JSON.parse(
          JSON.stringify(saved, (_, value: unknown) =>
            ArrayBuffer.isView(value) ? Array.from(value as unknown as ArrayLike<number>) : value,
          ),
        ) as SavedRun;

      it('goes on after any step to the same result, to the byte, from a clone or from JSON', async () => {
        const { saved, result } = await savedAll();
        expect(result).toEqual(await valuesOf(run(soft))); // saving does not disturb
        expect(saved.map(({ format, stepsDone }) => [format, stepsDone])).toEqual(
          [1, 2, 3, 4].map((done) => [1, done]),
        );
        for (const resume of saved.slice(0, 3)) {
          expect(await valuesOf(run(soft, { resume: structuredClone(resume) }))).toEqual(result);
          expect(await valuesOf(run(soft, { resume: throughJson(resume) }))).toEqual(result);
        }
      });

      it('makes the same calls and tells the same steps as if it had never stopped', async () => {
        const { saved } = await savedAll();
        const seen: unknown[] = [];
        const watched: Denoiser<Tensor2D> = (x, sigma, step) => (seen.push([sigma, { ...step }]), soft(x, sigma, step));
        const xT = tf.zeros([...SHAPE]) as Tensor2D; // gives the shape alone
        for await (const { index, x } of iterate(watched, xT, SIGMAS, { noise, resume: saved[1] }))
          seen.push([index, ...x.dataSync()]);
        xT.dispose();
        const want: unknown[] = [];
        const whole = initialNoise<tf.Rank.R2>(noise, [...SHAPE], SIGMAS);
        for await (const { index, x } of iterate(
          (x, sigma, step) => (step.index > 1 && want.push([sigma, { ...step }]), soft(x, sigma, step)),
          whole,
          SIGMAS,
          { noise },
        ))
          if (index > 1) want.push([index, ...x.dataSync()]);
        whole.dispose();
        expect(seen).toEqual(want);
      });

      it('goes on from a state that was replaced before it was saved', async () => {
        const saved: SavedRun[] = [];
        const onStep = async (step: SamplingStep) => {
          if (step.index !== 1) return;
          step.replace(tf.fill([...SHAPE], 0.75));
          saved.push(await step.save());
        };
        const result = await valuesOf(run(soft, { onStep }));
        expect(Array.from(saved[0]!.x.values)).toEqual(Array(6).fill(0.75));
        expect(await valuesOf(run(soft, { resume: saved[0] }))).toEqual(result);
      });

      it('leaves nothing behind', async () => {
        const { saved } = await savedAll();
        await expectNoLeak(() => run(soft, { resume: saved[1] }));
        await expectNoLeak(() => run(soft, { onStep: async (step) => void (await step.save()) }));
        await expectNoLeak(() => run(soft, { resume: saved[0], signal: AbortSignal.abort() }), {
          throws: `${name}: aborted after step 0 of 4.`,
        });
      });

      it('refuses what does not fit the run', async () => {
        const { saved } = await savedAll();
        const fits = saved[1]!;
        const solver = fits.solver;
        const refused = async (resume: unknown, message: string, sigmas: ArrayLike<number> = SIGMAS, by = name) =>
          expectNoLeak(() => run(soft, { resume: resume as SavedRun }, sigmas), {
            throws: `${by}: expected options.resume to be ${message}`,
          });
        const refusedAtOnce = (resume: unknown, message: string) => refused(resume, message, SIGMAS, savedBy);
        await refusedAtOnce({}, 'what step.save() gave, of format 1, received undefined.');
        await refusedAtOnce({ ...fits, format: 2 }, 'what step.save() gave, of format 1, received 2.');
        await refusedAtOnce(null, 'what step.save() gave, of format 1, received undefined.');
        await refusedAtOnce(JSON.stringify(fits), 'what step.save() gave, of format 1, received undefined.');
        await refusedAtOnce({ format: 1 }, 'complete, with settings, received undefined.');
        await refusedAtOnce({ ...fits, settings: 3 }, 'complete, with settings, received 3.');
        await refusedAtOnce({ ...fits, solver: 'other' }, `a run of ${solver}, received one of other.`);
        await refusedAtOnce(
          { ...fits, settings: { ...fits.settings, kappa: 3 } },
          'a run with kappa undefined, as this one, received one with kappa 3.',
        );
        await refused(fits, 'a run of 3 steps, received one of 4.', [8, 4, 2, 0]);
        await refused(fits, 'a run with sigmas[2] = 3, received one with 2.', [8, 4, 3, 1, 0]);
        for (const stepsDone of [4, 1.5, 0, -1, 99]) {
          await refused({ ...fits, stepsDone }, `a run with 1 to 3 of 4 steps done, received one with ${stepsDone}.`);
        }
        await refused({ ...fits, stepsDone: '2' }, "a run with 1 to 3 of 4 steps done, received one with '2'.");
      });

      it('refuses a state that is not whole, rather than draw another picture', async () => {
        const { saved } = await savedAll();
        const fits = saved[1]!;
        const refused = async (parts: object, message: string) =>
          expectNoLeak(() => run(soft, { resume: { ...fits, ...parts } }), {
            throws: `${name}: expected options.resume to be ${message}`,
          });
        expect(fits.memory).toHaveLength(remembers);
        await refused({ memory: null }, 'complete, with memory, received null.');
        await refused({ memory: {} }, 'complete, with memory, received [object Object].');
        const more = [...fits.memory, fits.x];
        await refused({ memory: more }, `complete, with ${remembers} tensors in memory, received ${more.length}.`);
        if (remembers > 0) {
          const less = fits.memory.slice(1);
          await refused({ memory: less }, `complete, with ${remembers} tensors in memory, received ${less.length}.`);
          const turned = [{ ...fits.memory[0]!, shape: [3, 2] }, ...less];
          await refused({ memory: turned }, 'a run of shape [2,3], received one of [3,2] in memory[0].');
          const numbers = [7, ...less];
          await refused({ memory: numbers }, 'a run of shape [2,3], received one of [undefined] in memory[0].');
        }
        await refused({ x: 'x' }, 'a run of shape [2,3], received one of [undefined] in x.');
        await refused({ x: { shape: [1, 3], values: [1, 2, 3] } }, 'a run of shape [2,3], received one of [1,3] in x.');
        await refused({ x: { ...fits.x, values: [1, 2] } }, 'complete, with 6 numbers in x, received 2.');
        for (const [value, what] of [
          [null, 'null'],
          ['1', "'1'"],
          [NaN, 'NaN'],
          [undefined, 'undefined'],
        ] as const) {
          const values = [1, 2, 3, value, 5, 6];
          await refused({ x: { ...fits.x, values } }, `of finite numbers, received ${what} in x.`);
        }
      });

      it('says how to save when plain JSON has made objects of its typed arrays', async () => {
        const { saved } = await savedAll();
        const plain = JSON.parse(JSON.stringify(saved[1]!)) as SavedRun;
        const message = (what: string) =>
          `${name}: expected options.resume to be complete, with a list of ${what}, received [object Object]. ` +
          'Of typed arrays JSON makes objects: see the README on how to save.';
        await expectNoLeak(() => run(soft, { resume: plain }), { throws: message('sigmas') });
        await expectNoLeak(() => run(soft, { resume: { ...plain, sigmas: SIGMAS } }), { throws: message('x.values') });
      });

      it('holds values of its own: they stay when the state that was saved is disposed or written to', async () => {
        const mine = new Float32Array([1, 2, 3, 4, 5, 6]);
        let saved: SavedRun | undefined;
        const onStep = async (step: SamplingStep) => {
          if (step.index !== 1) return;
          step.replace(tf.tensor2d(mine, [...SHAPE])); // on the cpu backend this shares memory with `mine`
          saved = await step.save();
        };
        (await run(soft, { onStep })).dispose();
        mine.fill(9);
        expect(Array.from(saved!.x.values)).toEqual([1, 2, 3, 4, 5, 6]);
      });
    });

    describe('memory', () => {
      const failing = (message: string) => (): never => {
        throw new Error(message);
      };

      it('leaves nothing behind but its result', () => expectNoLeak(() => run(soft)));

      it('leaves nothing behind in one step and in many', async () => {
        await expectNoLeak(() => run(soft, {}, [3, 0]));
        await expectNoLeak(() => run(soft, {}, samplingSigmas(SCHEDULE, 50)));
      });

      it('holds no more tensors after ten steps than after three', async () => {
        const counts: number[] = [];
        const sigmas = samplingSigmas(SCHEDULE, 12);
        (await run(soft, { onStep: () => void counts.push(tf.memory().numTensors) }, sigmas)).dispose();
        expect(counts[10]).toBe(counts[3]);
      });

      it('frees everything when the denoiser throws', async () => {
        const broken: Denoiser<Tensor2D> = (x, sigma, step) =>
          step.index === 2 ? failing('boom')() : soft(x, sigma, step);
        await expectNoLeak(() => run(broken), { throws: 'boom' });
      });

      it('frees everything when onStep throws or rejects', async () => {
        await expectNoLeak(() => run(soft, { onStep: failing('stop') }), { throws: 'stop' });
        await expectNoLeak(() => run(soft, { onStep: () => Promise.reject(new Error('later')) }), { throws: 'later' });
      });

      it('frees everything when aborted, and on bad numbers and shapes', async () => {
        const controller = new AbortController();
        await expectNoLeak(() => run(soft, { signal: controller.signal, onStep: () => controller.abort() }), {
          throws: `${name}: aborted after step 0 of 4.`,
        });
        await expectNoLeak(() => run((x) => tf.fill(x.shape, NaN)), {
          throws: `${name}: the denoiser returned NaN or infinity at step 0 of 4 (sigma 8)`,
        });
        await expectNoLeak(() => run((x) => tf.zeros([x.shape[0], 5])), {
          throws: `${name}: expected the denoiser to return float32 of shape [2,3] at step 0 of 4 (sigma 8), received float32 of shape [2,5].`,
        });
      });

      it('frees everything when the loop is left early or throws', async () => {
        const leave = async (how: () => boolean) => {
          const xT = initialNoise<tf.Rank.R2>(noise, [...SHAPE], SIGMAS);
          try {
            for await (const { index } of iterate(soft, xT, SIGMAS, { noise })) if (index === 1 && how()) break;
          } finally {
            xT.dispose();
          }
        };
        await expectNoLeak(() => leave(() => true));
        await expectNoLeak(() => leave(failing('thrown in the loop')), { throws: 'thrown in the loop' });
        await expectNoLeak(() => leave(() => false));
      });

      it('leaves alone a tensor that the denoiser keeps, and the x that it was given', async () => {
        const kept = tf.fill([...SHAPE], 0.25) as Tensor2D;
        expectPoint(await valuesOf(run(() => kept)), 0.25);
        expect(kept.isDisposed).toBe(false);
        kept.dispose();
        await expectNoLeak(() => run((x) => x));
      });
    });

    describe('bad input', () => {
      const one = () => tf.ones([...SHAPE]) as Tensor2D;

      async function failure(sigmas: ArrayLike<number>, options: SampleOptions = {}, make: () => tf.Tensor = one) {
        const xT = make() as Tensor2D;
        const before = tf.memory().numTensors;
        const error = await sample(soft, xT, sigmas, { noise, ...options }).then(
          () => undefined,
          (e: unknown) => e as Error,
        );
        expect(tf.memory().numTensors).toBe(before);
        xT.dispose();
        return error?.message;
      }

      it('names the pair of sigmas that does not fall', async () => {
        expect(await failure([4, 2, 2, 0])).toBe(
          `${name}: expected sigmas that fall with every step, received sigmas[1] = 2 and then sigmas[2] = 2.`,
        );
        expect(await failure([1, 2, 0])).toBe(
          `${name}: expected sigmas that fall with every step, received sigmas[0] = 1 and then sigmas[1] = 2.`,
        );
        expect(await failure([1, 0, 0])).toBe(
          `${name}: expected sigmas that fall with every step, received sigmas[1] = 0 and then sigmas[2] = 0.`,
        );
      });

      it('names a sigma that is no number, infinite or negative', async () => {
        const message = (index: number, value: number) =>
          `${name}: expected every sigma to be a finite number from 0, received sigmas[${index}] = ${value}.`;
        expect(await failure([NaN, 1, 0])).toBe(message(0, NaN));
        expect(await failure([Infinity, 1, 0])).toBe(message(0, Infinity));
        expect(await failure([2, 1, -1])).toBe(message(2, -1));
      });

      it('names levels that are the same in float32, or beyond it', async () => {
        const same = (index: number, before: number, sigma: number) =>
          `${name}: expected sigmas that fall with every step, received sigmas[${index - 1}] = ${before} and then ` +
          `sigmas[${index}] = ${sigma}. In float32 they are the same.`;
        expect(await failure([1.00000001, 1, 0])).toBe(same(1, 1.00000001, 1));
        expect(await failure([1, 1e-300, 0])).toBe(same(2, 1e-300, 0));
        expect(await failure([1e300, 1, 0])).toBe(
          `${name}: expected every sigma to be a finite number from 0, received sigmas[0] = 1e+300.`,
        );
      });

      it('says what is missing or of the wrong kind, in plain JavaScript', async () => {
        const xT = one();
        const call = (denoiser: unknown, x: unknown, sigmas: unknown, options: unknown = { noise }) =>
          expectNoLeak(
            () => sample(denoiser as Denoiser<Tensor2D>, x as Tensor2D, sigmas as number[], options as object),
            {
              throws: message,
            },
          );
        let message = '';
        const expected = (text: string) => (message = `: expected ${text}.`); // by a method around it, where there is one
        expected('denoiser to be a function (x, sigma, step) => x0, received undefined');
        if (savedBy === name) await call(undefined, xT, SIGMAS);
        for (const [sigmas, received] of [
          [undefined, 'undefined'],
          [20, '20'],
          ['8,0', "'8,0'"],
        ]) {
          expected(`sigmas to be a list, received ${received}`);
          await call(soft, xT, sigmas);
        }
        expected("every sigma to be a finite number from 0, received sigmas[1] = '4'");
        await call(soft, xT, [8, '4', 0]);
        if (savedBy === name) {
          expected('xT to be a float32 batch [B, …], received undefined');
          await call(soft, undefined, SIGMAS);
          expected('xT to be a float32 batch [B, …], received [object Array]');
          await call(soft, [1, 2], SIGMAS);
        }
        expected('options.noise to be a function as from perItemNoise(seeds), received 3');
        await call(soft, xT, SIGMAS, { noise: 3 });
        xT.dispose();
        message = `${savedBy}: expected xT to be a float32 batch [B, …], received a disposed tensor, float32 of shape [2,3].`;
        if (savedBy === name) await call(soft, xT, SIGMAS);
      });

      it('wants at least one step, and a 0 at the end', async () => {
        const short = (length: number) =>
          `${name}: expected at least 2 sigmas, one step and the closing 0, received ${length}.`;
        expect(await failure([])).toBe(short(0));
        expect(await failure([0])).toBe(short(1));
        expect(await failure([2, 1, 0.5])).toBe(
          `${name}: expected the last sigma to be 0, so that no noise is left in the result, received 0.5. ` +
            `Append a 0, or set keepNoise to stop there.`,
        );
      });

      it('wants xT to be a float32 batch', async () => {
        expect(await failure(SIGMAS, {}, () => tf.ones([2, 3], 'int32'))).toBe(
          `${savedBy}: expected xT to be a float32 batch [B, …], received int32 of shape [2,3].`,
        );
        expect(await failure(SIGMAS, {}, () => tf.scalar(1))).toBe(
          `${savedBy}: expected xT to be a float32 batch [B, …], received float32 of shape [].`,
        );
      });

      it('names step and sigma when the denoiser returns NaN or infinity', async () => {
        for (const bad of [NaN, Infinity, -Infinity]) {
          const poisoned: Denoiser<Tensor2D> = (x, sigma, step) =>
            step.index === 2 ? tf.tensor2d([0, 0, 0, 0, bad, 0], [2, 3]) : soft(x, sigma, step);
          await expect(run(poisoned)).rejects.toMatchObject({
            name: 'SamplerError',
            code: 'not_finite',
            message:
              `${name}: the denoiser returned NaN or infinity at step 2 of 4 (sigma ${callsOf(2, SIGMAS)[0]}), for a finite input. ` +
              `Look at the model's weights, its conditions and its range of sigmas.`,
          });
        }
      });

      it('does not blame the denoiser for a start that is not finite', async () => {
        expect(await failure(SIGMAS, {}, () => tf.fill([2, 3], NaN))).toBe(
          `${name}: the state that the denoiser was given at step 0 of 4 (sigma 8) holds NaN or infinity. ` +
            `Look at xT and at options.noise.`,
        );
      });

      it('names the step in which the denoiser returns another type, none, or a disposed tensor, and leaks nothing', async () => {
        const disposed = tf.zeros([2, 3]) as Tensor2D;
        disposed.dispose();
        const bad: readonly [make: () => unknown, received: string][] = [
          [() => tf.ones([2, 3], 'int32'), 'int32 of shape [2,3]'],
          [() => tf.ones([2, 3], 'bool'), 'bool of shape [2,3]'],
          [() => tf.scalar(1), 'float32 of shape []'],
          [() => undefined, 'undefined'],
          [() => 3, '3'],
          [() => disposed, 'a disposed tensor, float32 of shape [2,3]'],
        ];
        for (const [make, received] of bad) {
          const odd: Denoiser<Tensor2D> = (x, sigma, step) =>
            step.index === 3 ? (make() as Tensor2D) : soft(x, sigma, step);
          await expectNoLeak(() => run(odd), {
            throws: `${name}: expected the denoiser to return float32 of shape [2,3] at step 3 of 4 (sigma ${callsOf(3, SIGMAS)[0]}), received ${received}.`,
          });
        }
      });

      it('names the step in which the denoiser returns another shape', async () => {
        const shifty: Denoiser<Tensor2D> = (x, sigma, step) =>
          step.index === 1 ? tf.zeros([2, 4]) : soft(x, sigma, step);
        await expect(run(shifty)).rejects.toMatchObject({
          code: 'bad_shape',
          message: `${name}: expected the denoiser to return float32 of shape [2,3] at step 1 of 4 (sigma ${callsOf(1, SIGMAS)[0]}), received float32 of shape [2,4].`,
        });
      });

      it('says so when the denoiser is asynchronous', async () => {
        const late = (async (x: Tensor2D) => x) as unknown as Denoiser<Tensor2D>;
        await expect(run(late)).rejects.toThrow(
          `${name}: expected the denoiser to return float32 of shape [2,3] at step 0 of 4 (sigma 8), received [object Promise]. ` +
            `It must not be an async function.`,
        );
      });

      if (needsNoise === undefined) return;
      const first = [0, 1, 2].find((index) => drawsNoise(index, SIGMAS))!;

      it('asks for the noise it needs, and checks its shape', async () => {
        expect(await failure(SIGMAS, { noise: undefined })).toBe(
          `${name}: expected options.noise, which ${needsNoise} needs, received none. Pass perItemNoise(seeds).`,
        );
        const wide: Noise = () => tf.zeros([2, 9]);
        expect(await failure(SIGMAS, { noise: wide })).toBe(
          `${name}: expected noise to return float32 of shape [2,3] at step ${first} of 4 (sigma ${SIGMAS[first]}), received float32 of shape [2,9].`,
        );
      });

      it('does not blame the denoiser for noise that is not finite', async () => {
        const endless: Noise = (shape) => tf.fill([...shape], Infinity);
        const message = await failure([4, 2, 1].slice(1 - first), { noise: endless, keepNoise: true });
        // Where a call of the same step comes after the noise, it is given it.
        expect([
          `${name}: the result, at sigma 1, holds NaN or infinity. Look at options.noise.`,
          expect.stringMatching(
            new RegExp(
              `^${name}: the state that the denoiser was given at step .* holds NaN or infinity. Look at xT and at options.noise.$`,
            ),
          ),
        ]).toContainEqual(message);
      });
    });
  });
}

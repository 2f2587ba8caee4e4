// Shapes: every tensor here has the shape of the data, [B, …].
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import {
  expectFunction,
  expectList,
  expectNumber,
  expectObject,
  SamplerError,
  SamplingAbortedError,
  shown,
} from './errors';
import { expectAnswer, expectBatch, firstNonFinite, isFloats, stepName } from './expect-tensor';
import type { Noise } from './noise';
import { plainSettings, restoredState, savedTensors, solverOf, type SavedRun } from './saved-run';

/** What every sampler takes. */
export type SampleOptions = {
  /** Draws the noise of stochastic samplers, float32; `perItemNoise(seeds)` makes one. Deterministic samplers never call it. */
  readonly noise?: Noise;
  /** Ends the run within one step: it throws `SamplingAbortedError` and frees everything. */
  readonly signal?: AbortSignal;
  /**
   * Lets the list of sigmas end above 0: the run stops there, and its result still holds noise of that level. For a run of which
   * another does the rest, and for published latent diffusion, whose runs end so. Default false: a list without a 0 at its
   * end is an error.
   */
  readonly keepNoise?: boolean;
  /** Called, and awaited, after each step. It may return `{ x }`: the state to go on from (`SamplingStep.replace`). */
  readonly onStep?: (step: SamplingStep) => void | StepEdit | Promise<void | StepEdit>;
  /**
   * A run to go on with, as `SamplingStep.save` gave it: of the same method, options, sigmas and shape. `xT` then gives the shape
   * alone, and the noise has to be the same. Steps keep the numbers that they had.
   */
  readonly resume?: SavedRun;
};

/** Another state to go on from, handed over to the run. */
export type StepEdit = { readonly x: tf.Tensor };

/** What is known after a step. The tensors are borrowed: they live until the callback or the loop's body ends. */
export type SamplingStep<T extends tf.Tensor = tf.Tensor> = {
  /** The step just done, from 0. */
  readonly index: number;
  readonly steps: number;
  readonly sigma: number;
  readonly sigmaNext: number;
  /** The predicted clean data: a preview of the result. */
  readonly x0: T;
  /** The state at `sigmaNext`; after the last step, the result. */
  readonly x: T;
  /**
   * Puts another state at `sigmaNext` in the place of `x`, e.g. one with a region held fast. What a multistep method remembers
   * stays. Only while the tensors of the step live.
   *
   * @param x Of the same shape, float32, finite. Handed over: the run disposes it, so `tf.clone` a tensor that you keep.
   * @throws SamplerError at once for another shape or type; numbers that are not finite end the run.
   */
  replace(x: tf.Tensor): void;
  /** The run as it stands after this step (and `replace`), to go on later with `resume`. Only while the tensors of the step live. */
  save(): Promise<SavedRun>;
};

/** Any `iterate…` function of this package: with options of its own, `(d, x, s, o) => iterateDdim(d, x, s, { ...o, eta: 0.5 })`. */
export type Iterate<T extends tf.Tensor> = (
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: SampleOptions,
) => AsyncGenerator<SamplingStep<T>, void, void>;

/** What a solver's rule may use in one step. */
export type SolverContext = {
  readonly index: number;
  readonly sigmas: ArrayLike<number>;
  readonly sigma: number;
  readonly sigmaNext: number;
  /** The network: x0 as seen in `x` at `sigma`. */
  readonly denoise: (x: tf.Tensor, sigma: number) => tf.Tensor;
  /** Standard normal noise of this step; with every call another draw. */
  readonly noise: () => tf.Tensor;
};

/** State of a run between two steps: with `index` all there is to know, so a run can stop here and go on later. */
export type SolverState = {
  readonly x: tf.Tensor;
  /** What the method remembers of earlier steps, e.g. the last x0. */
  readonly memory: tf.Tensor[];
};

/** A sampling method: the rule that takes the state from one noise level to the next. Runs inside a `tf.tidy`. */
export type Solver = {
  /** The options that its steps depend on, defaults filled in: plain data. */
  readonly settings?: object;
  /** How many tensors, each of the shape of the data, it remembers once it has as many steps behind it. Default 0. */
  readonly remembers?: number;
  /** Why the method needs noise, e.g. `eta 1`; absent if it is deterministic. */
  readonly needsNoise?: string;
  readonly step: (state: SolverState, context: SolverContext) => SolverState & { readonly x0: tf.Tensor };
};

/** What a denoiser is, for messages. */
const DENOISER = '(x, sigma, step) => x0';

/** Makes a solver of its options, or throws a SamplerError that begins with `where`. */
export type Method<Options extends SampleOptions> = (where: string, options: Options) => Solver;

/**
 * Runs a solver from `sigmas[0]` down to the last sigma, one step per turn, and lets the event loop breathe between steps.
 *
 * @param where The public function, for messages.
 * @param xT Start of the run, `[B, …]`, float32, noise of level `sigmas[0]`. Borrowed, until the first step begins.
 * @param sigmas Noise levels, strictly falling to 0, with `keepNoise` also to one above it; one step for each but the last.
 * @returns A generator of steps. Leaving its loop early frees everything.
 * @throws SamplerError at once for bad options of the method, on first use for other bad arguments, and at the step where the denoiser's
 *   answer is not finite or misshapen.
 */
export function runSolver<T extends tf.Tensor, Options extends SampleOptions>(
  method: Method<Options>,
  where: string,
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: Options,
): AsyncGenerator<SamplingStep<T>, void, void> {
  expectObject(where, 'options', options);
  return runSteps(where, method(where, options), denoiser, xT, sigmas, options);
}

async function* runSteps<T extends tf.Tensor>(
  where: string,
  solver: Solver,
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: SampleOptions,
): AsyncGenerator<SamplingStep<T>, void, void> {
  const { noise, signal, keepNoise = false, onStep, resume } = options;
  expectFunction(where, 'denoiser', denoiser, DENOISER);
  const levels = checkSigmas(where, sigmas, keepNoise); // own copy: the caller may write to his between steps
  const steps = levels.length - 1;
  expectBatch(where, 'xT', xT);
  if (solver.needsNoise !== undefined && noise === undefined) {
    throw new SamplerError(
      `${where}: expected options.noise, which ${solver.needsNoise} needs, received none. Pass perItemNoise(seeds).`,
      'missing_noise',
    );
  }
  if (noise !== undefined) expectFunction(where, 'options.noise', noise, 'as from perItemNoise(seeds)');
  const settings = plainSettings(solver.settings ?? {});
  let state: SolverState =
    resume === undefined
      ? { x: tf.clone(xT), memory: [] }
      : restoredState(where, resume, levels, xT.shape, settings, solver.remembers ?? 0);
  let owned = new Set<tf.Tensor>([state.x, ...state.memory]);
  try {
    for (let index = resume?.stepsDone ?? 0; index < steps; index++) {
      throwIfAborted(where, signal, index, steps);
      const sigma = levels[index]!;
      const sigmaNext = levels[index + 1]!;
      const at = (level: number) => stepName(level, { index, steps });
      const { x: before, memory } = state;
      let draws = 0;
      const calls: { readonly level: number; readonly input: tf.Tensor; readonly x0: tf.Tensor }[] = [];
      const context: SolverContext = {
        index,
        sigmas: levels,
        sigma,
        sigmaNext,
        denoise: (x, level) => {
          const step = { index, steps };
          const answer = expectAnswer(where, 'the denoiser', denoiser(x as T, level, step), xT.shape, level, step);
          const x0 = tf.clone(answer); // so that a tensor the denoiser keeps, or x itself, is not disposed with the step
          calls.push({ level, input: tf.clone(x), x0 });
          return x0;
        },
        noise: () => expectAnswer(where, 'noise', noise!(xT.shape, index, draws++), xT.shape, sigma, { index, steps }),
      };
      const {
        x0,
        x,
        memory: later,
      } = tf.tidy(() => {
        const next = solver.step({ x: before, memory }, context);
        return { ...next, calls }; // out of the tidy's reach until they are read
      });
      const previous = new Set([...owned, ...calls.flatMap((call) => [call.input, call.x0])]);
      owned = new Set([x, x0, ...later]);
      state = { x, memory: later };
      try {
        for (const { level, input, x0 } of calls) await expectFinite(where, at(level), x0, input);
        if (index === steps - 1 && x !== x0 && firstNonFinite(await x.data()) !== undefined) {
          throw new SamplerError(
            `${where}: the result, at sigma ${sigmaNext}, holds NaN or infinity. Look at options.noise.`,
            'not_finite',
          );
        }
      } finally {
        for (const tensor of previous) if (!owned.has(tensor)) tensor.dispose();
      }
      await nextTurn();
      throwIfAborted(where, signal, index + 1, steps);
      const after = `after step ${index} of ${steps}`;
      let over = false;
      let replaced = false;
      const expectLive = (what: string) => {
        if (!over) return;
        throw new SamplerError(
          `${where}: expected ${what} to be called while the step lives, received a call ${after} was over. ` +
            `Call it in onStep or in the body of the loop.`,
          'bad_argument',
        );
      };
      const done: { -readonly [K in keyof SamplingStep<T>]: SamplingStep<T>[K] } = {
        index,
        steps,
        sigma,
        sigmaNext,
        x0: x0 as T,
        x: x as T,
        replace(other) {
          expectLive('replace');
          if (other instanceof tf.Tensor) owned.add(other);
          expectStateLike(where, after, other, xT);
          state = { x: other, memory: later };
          done.x = other as T;
          replaced = true;
        },
        async save() {
          expectLive('save');
          const [saved, ...memory] = await savedTensors([state.x, ...later]);
          const sigmas = Float64Array.from(levels);
          return { format: 1, solver: solverOf(where), settings, stepsDone: index + 1, sigmas, x: saved!, memory };
        },
      };
      const checkReplaced = async () => {
        if (replaced && firstNonFinite(await state.x.data()) !== undefined) {
          throw new SamplerError(`${where}: the new x given ${after} holds NaN or infinity.`, 'not_finite');
        }
        replaced = false;
      };
      try {
        const edit = await onStep?.(done);
        if (edit?.x !== undefined) done.replace(edit.x);
        await checkReplaced();
        yield done;
        await checkReplaced();
      } finally {
        over = true;
      }
    }
  } finally {
    tf.dispose([...owned]);
  }
}

/**
 * Runs a generator of steps to its end.
 *
 * @returns The state after the last step, `[B, …]`. The caller disposes it.
 */
export async function lastState<T extends tf.Tensor>(run: AsyncGenerator<SamplingStep<T>, void, void>): Promise<T> {
  let result: T | undefined;
  for await (const { index, steps, x } of run) if (index === steps - 1) result = tf.clone(x);
  return result!; // a run has at least one step, or it throws
}

/**
 * The steps that the `solver` option of another method takes.
 *
 * @throws SamplerError if that is no `iterate…` function, but a `sample…` one, say; nothing of it is left then.
 */
export async function* stepsOf<T extends tf.Tensor>(
  where: string,
  solver: Iterate<T>,
  ...run: Parameters<Iterate<T>>
): AsyncGenerator<SamplingStep<T>, void, void> {
  const steps: unknown = solver(...run);
  if (typeof (steps as Partial<AsyncIterable<unknown>> | undefined)?.[Symbol.asyncIterator] !== 'function') {
    await Promise.resolve(steps).then(tf.dispose as (result: unknown) => void, () => {}); // what a sample… function gives
    throw notAnIterate(where, `one that gives ${shown(steps)}`);
  }
  let missing = true;
  for await (const step of steps as ReturnType<Iterate<T>>) {
    missing = step.index < step.steps - 1;
    yield step;
  }
  if (missing) throw notAnIterate(where, 'one that ends before its last step');
}

/** @throws SamplerError unless there is a denoiser, and the solver may be an `iterate…` function. */
export function expectSolver(where: string, solver: unknown, denoiser: unknown): void {
  expectFunction(where, 'denoiser', denoiser, DENOISER);
  if (typeof solver !== 'function') throw notAnIterate(where, shown(solver));
  // A sample… function, known before it is called.
  if (shown(solver) === '[object AsyncFunction]') throw notAnIterate(where, solver.name);
}

function notAnIterate(where: string, received: string): SamplerError {
  return new SamplerError(
    `${where}: expected options.solver to be an iterate… function, e.g. iterateDdim, received ${received}.`,
    'bad_argument',
  );
}

/** A step as a method shows it that takes its steps with another: with these parts in the place of that one's. */
export function stepWith<T extends tf.Tensor>(
  step: SamplingStep<T>,
  parts: Partial<Omit<SamplingStep<T>, 'x' | 'x0'>>,
): SamplingStep<T> {
  const { index, steps, sigma, sigmaNext, x0 } = step;
  return {
    index,
    steps,
    sigma,
    sigmaNext,
    x0,
    get x() {
      return step.x; // which may be replaced
    },
    replace: (other) => step.replace(other),
    save: () => step.save(),
    ...parts,
  };
}

/** A list of sigmas as numbers of its own. Steps are taken in float32: there, too, the levels have to be finite and to fall. */
function checkSigmas(where: string, sigmas: ArrayLike<number>, keepNoise: boolean): Float64Array {
  expectList(where, 'sigmas', sigmas, 'bad_sigmas');
  const levels = Float64Array.from(sigmas);
  if (levels.length < 2) {
    throw new SamplerError(
      `${where}: expected at least 2 sigmas, one step and the closing 0, received ${levels.length}.`,
      'bad_sigmas',
    );
  }
  levels.forEach((sigma, index) => {
    const isLevel = (value: number) => value >= 0 && Math.fround(value) < Infinity;
    expectNumber(
      where,
      'every sigma',
      sigmas[index]!,
      isLevel,
      'a finite number from 0',
      'bad_sigmas',
      `sigmas[${index}] = `,
    );
    if (index > 0) expectFalls(where, levels[index - 1]!, sigma, index);
  });
  const last = levels[levels.length - 1]!;
  if (last !== 0 && !keepNoise) {
    throw new SamplerError(
      `${where}: expected the last sigma to be 0, so that no noise is left in the result, received ${last}. ` +
        `Append a 0, or set keepNoise to stop there.`,
      'bad_sigmas',
    );
  }
  return levels;
}

/** @throws SamplerError unless `sigma`, number `index` of a list, lies below the one before it, as float32 as well. */
export function expectFalls(where: string, before: number, sigma: number, index: number): void {
  if (Math.fround(sigma) < Math.fround(before)) return;
  throw new SamplerError(
    `${where}: expected sigmas that fall with every step, received sigmas[${index - 1}] = ${before} ` +
      `and then sigmas[${index}] = ${sigma}.` +
      (sigma < before ? ' In float32 they are the same.' : ''),
    'bad_sigmas',
  );
}

function expectStateLike(where: string, after: string, received: tf.Tensor, like: tf.Tensor): void {
  if (isFloats(received, like.shape)) return;
  throw new SamplerError(
    `${where}: expected the new x ${after} to be float32 of shape [${like.shape}], received ${shown(received)}.`,
    'bad_shape',
  );
}

/** Reads x0 back. That also waits for the backend, so that a step is over when it is reported to be. */
async function expectFinite(where: string, at: string, x0: tf.Tensor, input: tf.Tensor): Promise<void> {
  if (firstNonFinite(await x0.data()) === undefined) return;
  if (firstNonFinite(await input.data()) !== undefined) {
    throw new SamplerError(
      `${where}: the state that the denoiser was given ${at} holds NaN or infinity. Look at xT and at options.noise.`,
      'not_finite',
    );
  }
  throw new SamplerError(
    `${where}: the denoiser returned NaN or infinity ${at}, for a finite input. ` +
      `Look at the model's weights, its conditions and its range of sigmas.`,
    'not_finite',
  );
}

function throwIfAborted(where: string, signal: AbortSignal | undefined, index: number, steps: number): void {
  if (!signal?.aborted) return;
  const when = index === 0 ? 'before the first step' : `after step ${index - 1} of ${steps}`;
  throw new SamplingAbortedError(`${where}: aborted ${when}.`, signal.reason);
}

/**
 * Waits for the next turn of the event loop, so that timers, clicks and signals get through: a promise alone would not
 * let them. Not a timer where it can be helped, since browsers slow those down, in hidden pages to one a minute.
 */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
    } else if (typeof MessageChannel === 'function') {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(0);
    } else {
      setTimeout(resolve, 0);
    }
  });
}

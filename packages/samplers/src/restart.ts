// Names: sigmaMin and sigmaMax are t_min and t_max of arXiv:2306.14878, times is its K, steps its N_Restart.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectFunction, expectList, expectNumber, expectObject, SamplerError, SamplingAbortedError } from './errors';
import { expectAnswer, expectBatch } from './expect-tensor';
import { plainSettings, restoredState, savedAround, savedWithin } from './saved-run';
import {
  expectFalls,
  expectSolver,
  lastState,
  stepsOf,
  stepWith,
  type Iterate,
  type SampleOptions,
  type SamplingStep,
} from './solver';

/** An interval of noise levels that a run goes through again. */
export type Restart = {
  /** Where it goes back up: at the run's level, above 0, that is nearest to this in log sigma. */
  readonly sigmaMin: number;
  /** Where it goes back up to, by adding noise; above that level, at most `sigmas[0]`. */
  readonly sigmaMax: number;
  /** How often; 0 is never. */
  readonly times: number;
  /** How many steps each way down takes. */
  readonly steps: number;
};

export type RestartOptions<T extends tf.Tensor> = SampleOptions & {
  /** Takes the steps. The paper has `iterateHeun`. */
  readonly solver: Iterate<T>;
  /** In any order: they are taken as the run comes by. */
  readonly restarts: readonly Restart[];
};

/**
 * Restart sampling around any solver: at chosen levels the run adds noise to go back up and comes down again, which wipes out
 * errors made higher up, where a stochastic sampler would spread its noise over all steps.
 *
 * Steps are those of `sigmas` and `times * steps` for each restart, numbered through; network calls are the solver's for each of the
 * lists of `restartSegments`, where a multistep method begins anew and `sChurn` is spread over the steps of that list, of which the
 * first has no churn. Order and law between restarts are the solver's. Without restarts it
 * is the solver itself.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels of the run itself, strictly falling to 0; with `keepNoise` they may end above 0.
 * @param options `solver`, `restarts`; `noise` is needed for them: step k of S draws number k if the solver does, and the
 *   restarts draw numbers S, S + 1, …
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong, naming the segment; SamplingAbortedError.
 * @see arXiv:2306.14878, algorithm 1.
 */
export async function sampleRestart<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: RestartOptions<T>,
): Promise<T> {
  return lastState(runSegments('sampleRestart', denoiser, xT, sigmas, options));
}

/** `sampleRestart` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateRestart<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: RestartOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSegments('iterateRestart', denoiser, xT, sigmas, options);
}

/**
 * The falling lists of sigmas that a run with restarts goes through one after the other. Where one begins above the end of the last,
 * noise is added: of variance `sigmaMax^2 - sigmaMin^2`.
 *
 * Levels between are spaced as in arXiv:2206.00364, equation 5, with rho 7.
 *
 * @throws SamplerError if the sigmas do not fall or a restart does not fit them.
 */
export function restartSegments(sigmas: ArrayLike<number>, restarts: readonly Restart[]): Float64Array[] {
  return segmentsOf('restartSegments', sigmas, restarts);
}

function segmentsOf(where: string, sigmas: ArrayLike<number>, restarts: readonly Restart[]): Float64Array[] {
  expectList(where, 'sigmas', sigmas, 'bad_sigmas');
  expectList(where, 'restarts', restarts);
  const levels = Float64Array.from(sigmas);
  if (levels.length < 2) return [levels]; // for the solver to refuse
  const placed = Array.from(restarts)
    .map((restart, position) => ({ ...restart, index: indexOf(where, levels, restart, position) }))
    .filter(({ times }) => times > 0)
    .sort((a, b) => a.index - b.index);
  const segments: Float64Array[] = [];
  let from = 0;
  for (const { index, sigmaMax, times, steps } of placed) {
    if (index > from) segments.push(levels.slice(from, index + 1));
    const down = between(sigmaMax, levels[index]!, steps);
    for (let time = 0; time < times; time++) segments.push(down);
    from = index;
  }
  if (from < levels.length - 1 || segments.length === 0) segments.push(levels.slice(from));
  return segments;
}

/** Where in the run a restart happens. */
function indexOf(where: string, levels: Float64Array, restart: Restart, position: number): number {
  const name = `restarts[${position}]`;
  expectObject(where, name, restart);
  const { sigmaMin, sigmaMax, times, steps } = restart;
  const whole = (from: number) => (value: number) => Number.isSafeInteger(value) && value >= from;
  expectNumber(where, `${name}.times`, times, whole(0), 'a whole number from 0');
  expectNumber(where, `${name}.steps`, steps, whole(1), 'a whole number from 1');
  expectNumber(where, `${name}.sigmaMin`, sigmaMin, (value) => value > 0 && value < Infinity, 'a number above 0');
  let nearest = 0;
  levels.forEach((level, index) => {
    if (index > 0) expectFalls(where, levels[index - 1]!, level, index);
    const distance = (sigma: number) => Math.abs(Math.log(sigma / sigmaMin));
    if (level > 0 && distance(level) < distance(levels[nearest]!)) nearest = index;
  });
  expectNumber(
    where,
    `${name}.sigmaMax`,
    sigmaMax,
    (value) => value > levels[nearest]! && value <= levels[0]!,
    `above ${levels[nearest]}, the run's level nearest to its sigmaMin, and at most ${levels[0]}, its first`,
  );
  return nearest;
}

/** `steps + 1` levels whose seventh roots are evenly spaced; both ends to the last bit. */
function between(sigmaMax: number, sigmaMin: number, steps: number): Float64Array {
  const [high, low] = [sigmaMax ** (1 / 7), sigmaMin ** (1 / 7)];
  return Float64Array.from({ length: steps + 1 }, (_, i) =>
    i === 0 ? sigmaMax : i === steps ? sigmaMin : (high + (i / steps) * (low - high)) ** 7,
  );
}

async function* runSegments<T extends tf.Tensor>(
  where: string,
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  runOptions: RestartOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  expectObject(where, 'options', runOptions);
  const { solver, restarts, ...ownOptions } = runOptions;
  expectSolver(where, solver, denoiser);
  const segments = segmentsOf(where, sigmas, restarts);
  // In an order of keys of its own, so that a saved run is the same however they were written.
  const settings = {
    restarts: Array.from(restarts, ({ sigmaMin, sigmaMax, times, steps }) => ({ sigmaMin, sigmaMax, times, steps })),
  };
  if (segments.length === 1) {
    yield* stepsOf(where, solver, denoiser, xT, sigmas, ownOptions);
    return;
  }
  expectBatch(where, 'xT', xT);
  const { resume, ...options } = ownOptions;
  const steps = segments.reduce((sum, segment) => sum + segment.length - 1, 0);
  const { noise, onStep } = options;
  if (noise === undefined && segments.some((_, position) => climb(segments, position) > 0)) {
    throw new SamplerError(
      `${where}: expected options.noise, which restarts need, received none. Pass perItemNoise(seeds).`,
      'missing_noise',
    );
  }
  if (noise !== undefined) expectFunction(where, 'options.noise', noise, 'as from perItemNoise(seeds)');
  const passed = Float64Array.from(segments.flatMap((segment) => [...segment])); // every level, as a saved run has them
  let x = tf.clone(xT);
  let offset = 0; // steps before the segment
  let restartsDone = 0;
  try {
    const within = resume !== undefined ? savedWithin(where, resume, settings) : undefined;
    if (resume !== undefined) {
      const restored = restoredState(where, resume, passed, xT.shape, plainSettings(resume.settings), undefined, steps);
      tf.dispose([x, ...restored.memory]);
      x = restored.x as T;
    }
    const stepsDone = resume?.stepsDone ?? 0;
    for (const [position, segment] of segments.entries()) {
      const start = offset;
      const end = (offset += segment.length - 1);
      const up = climb(segments, position);
      const draw = steps + restartsDone;
      if (up > 0) restartsDone++;
      if (end <= stepsDone) continue;
      if (up > 0 && stepsDone <= start) {
        const raised = tf.tidy(() => {
          const fresh = expectAnswer(where, 'noise', noise!(x.shape, draw), x.shape, segment[0]!, {
            index: start,
            steps,
          });
          return tf.add<T>(x, tf.mul(fresh, up));
        });
        x.dispose();
        x = raised;
      }
      const inWhole = (step: SamplingStep<T>): SamplingStep<T> =>
        stepWith(step, {
          index: start + step.index,
          steps,
          async save() {
            const saved = savedAround(where, await step.save(), settings);
            return { ...saved, stepsDone: start + saved.stepsDone, sigmas: passed };
          },
        });
      const inner: Denoiser<T> = (x, sigma, { index }) => denoiser(x, sigma, { index: start + index, steps });
      const run = stepsOf(where, solver, inner, x, segment, {
        ...options,
        ...(noise && { noise: (shape, step, draw) => noise(shape, start + step, draw) }),
        ...(onStep && { onStep: (step) => onStep(inWhole(step as SamplingStep<T>)) }),
        ...(within && stepsDone > start && { resume: { ...within, stepsDone: stepsDone - start, sigmas: segment } }),
        keepNoise: end < steps || options.keepNoise === true,
      });
      try {
        for await (const step of run) {
          yield inWhole(step);
          if (step.index < step.steps - 1 || end === steps) continue;
          x.dispose();
          x = tf.clone(step.x);
        }
      } catch (error) {
        throw namingSegment(where, error, position, segments);
      }
    }
  } finally {
    x.dispose();
  }
}

/** Standard deviation of the noise that is added before a segment: 0 where it goes on from the last. */
function climb(segments: readonly Float64Array[], position: number): number {
  const top = segments[position]![0]!;
  const before = position > 0 ? segments[position - 1]!.at(-1)! : top;
  return before < top ? Math.sqrt(top ** 2 - before ** 2) : 0;
}

/** The solver numbers its steps within its segment, so its message is put after which one that is. */
function namingSegment(where: string, error: unknown, position: number, segments: readonly Float64Array[]): unknown {
  if (!(error instanceof SamplerError)) return error;
  const segment = segments[position]!;
  const message =
    `${where}: in segment ${position + 1} of ${segments.length}, from sigma ${segment[0]} to ${segment.at(-1)}: ` +
    error.message;
  if (error instanceof SamplingAbortedError) return new SamplingAbortedError(message, error.cause);
  return new SamplerError(message, error.code, { cause: error });
}

// Names: sigmaMin and sigmaMax are t_min and t_max of arXiv:2306.14878, times is its K, steps its N_Restart.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { SamplerError, SamplingAbortedError } from './errors';
import { restoredState, settingsOf, solverOf, type SavedRun } from './saved-run';
import { lastState, type SampleOptions, type SamplingStep } from './solver';

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

/** Any `iterate…` function of this package: with options of its own, `(d, x, s, o) => iterateDdim(d, x, s, { ...o, eta: 0.5 })`. */
export type Iterate<T extends tf.Tensor> = (
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: SampleOptions,
) => AsyncGenerator<SamplingStep<T>, void, void>;

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
 * lists of `restartSegments`, where a multistep method begins anew. Order and law between restarts are the solver's. Without restarts it
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
  const levels = Float64Array.from(sigmas);
  if (levels.length < 2) return [levels]; // for the solver to refuse
  const placed = restarts
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
  const name = `${where}: expected restarts[${position}]`;
  const fail = (expected: string, received: unknown): never => {
    throw new SamplerError(`${name}${expected}, received ${String(received)}.`, 'bad_argument');
  };
  const { sigmaMin, sigmaMax, times, steps } = restart;
  if (!Number.isSafeInteger(times) || times < 0) fail('.times to be a whole number from 0', times);
  if (!Number.isSafeInteger(steps) || steps < 1) fail('.steps to be a whole number from 1', steps);
  if (!(sigmaMin > 0 && sigmaMin < Infinity)) fail('.sigmaMin to be a number above 0', sigmaMin);
  let nearest = 0;
  levels.forEach((level, index) => {
    if (index > 0 && !(level < levels[index - 1]!)) {
      throw new SamplerError(
        `${where}: expected sigmas that fall with every step, received sigmas[${index - 1}] = ${levels[index - 1]} ` +
          `and then sigmas[${index}] = ${level}.`,
        'bad_sigmas',
      );
    }
    const distance = (sigma: number) => Math.abs(Math.log(sigma / sigmaMin));
    if (level > 0 && distance(level) < distance(levels[nearest]!)) nearest = index;
  });
  if (!(sigmaMax > levels[nearest]! && sigmaMax <= levels[0]!)) {
    fail(
      `.sigmaMax above ${levels[nearest]}, the run's level nearest to its sigmaMin, and at most ${levels[0]}, its first`,
      sigmaMax,
    );
  }
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
  { solver, restarts, ...ownOptions }: RestartOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  const segments = segmentsOf(where, sigmas, restarts);
  if (segments.length === 1) {
    yield* solver(denoiser, xT, sigmas, ownOptions);
    return;
  }
  const { resume, ...options } = ownOptions;
  const steps = segments.reduce((sum, segment) => sum + segment.length - 1, 0);
  const { noise, onStep } = options;
  if (noise === undefined && segments.some((_, position) => climb(segments, position) > 0)) {
    throw new SamplerError(
      `${where}: expected options.noise, which restarts need, received none. Pass perItemNoise(seeds).`,
      'missing_noise',
    );
  }
  const passed = Float64Array.from(segments.flatMap((segment) => [...segment])); // every level, as a saved run has them
  let x = tf.clone(xT);
  let offset = 0; // steps before the segment
  let restartsDone = 0;
  try {
    if (resume !== undefined) {
      const within = (resume.settings as { within?: unknown } | undefined)?.within;
      const restored = restoredState(where, resume, passed, xT.shape, settingsOf({ restarts, within }));
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
        const raised = tf.tidy(() => tf.add<T>(x, tf.mul(noise!(x.shape, draw), up)));
        x.dispose();
        x = raised;
      }
      const inWhole = (step: SamplingStep<T>): SamplingStep<T> => ({
        index: start + step.index,
        steps,
        sigma: step.sigma,
        sigmaNext: step.sigmaNext,
        x0: step.x0,
        get x() {
          return step.x; // which may be replaced
        },
        replace: (other) => step.replace(other),
        async save() {
          const { solver, settings, stepsDone, ...saved } = await step.save();
          return {
            ...saved,
            solver: solverOf(where),
            settings: settingsOf({ restarts, within: { solver, settings } }),
            stepsDone: start + stepsDone,
            sigmas: passed,
          };
        },
      });
      const run = solver((x, sigma, { index }) => denoiser(x, sigma, { index: start + index, steps }), x, segment, {
        ...options,
        ...(noise && { noise: (shape, step, draw) => noise(shape, start + step, draw) }),
        ...(onStep && { onStep: (step) => onStep(inWhole(step as SamplingStep<T>)) }),
        ...(resume && stepsDone > start && { resume: withinSegment(resume, segment, start) }),
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

/** The part of a saved run that is the solver's own. */
function withinSegment(resume: SavedRun, segment: Float64Array, start: number): SavedRun {
  const { within } = resume.settings as { within: Pick<SavedRun, 'solver' | 'settings'> };
  return { ...resume, ...within, stepsDone: resume.stepsDone - start, sigmas: segment };
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

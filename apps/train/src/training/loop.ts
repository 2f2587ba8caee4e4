import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BackendError, type StartedBackend } from '@sgdiff/node-backends';
import { cloneParams, disposeParams, toVariables, type ParamTree } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { describeDifference, findDifferences, type Difference } from '../configs/differences';
import { CliError } from '../errors';
import { ensureFolder, lockFolder, writeFileAtomic } from '../files';
import { createOwner } from '../owner';
import { stoppable } from '../stop-signals';
import { formatDuration, type Terminal } from '../terminal';
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from './checkpoint';
import { WHOLE_BATCH, type BatchPart, type Workers } from './data-parallel';
import { stageGradients, type StageGradients } from './gradients';
import { createBackendOptimiser, createSharedOptimiser, learningRateAt, prefixed, withPrefix, type Optimiser, type OptimiserConfig } from './optimiser';
import { writeReport } from './report';

/** A stage of training: what is trained, and what one step computes. */
export type Stage<T extends ParamTree> = {
  readonly name: string;
  /** Fresh weights. */
  init(): T;
  /** Everything that must be equal for a checkpoint to continue, but for `steps`, `optimiser` and what `changeable` names. */
  readonly config: unknown;
  /** Other entries of `config` that may change when a run continues, e.g. `adversarial.learningRate`. */
  readonly changeable?: readonly string[];
  readonly optimiser: OptimiserConfig;
  readonly batchSize: number;
  readonly steps: number;
  /**
   * The loss of one step, called inside the gradient tape. `terms` are logged by name.
   * The batch is a function of `step` alone, so that a resumed run sees what an unbroken one would have seen.
   */
  loss(params: T, step: number, part: BatchPart): { loss: tf.Scalar; terms: Record<string, tf.Scalar> };
  /** In place of `loss`, where one tape over it cannot give the gradients. What it returns is handed over. */
  gradients?(params: T, step: number, part: BatchPart): StageGradients;
  /** Made when a run begins, for a stage that keeps more from step to step than its weights. */
  companion?(): Companion;
  /** Whether the loss is a mean over independent items, so that workers may compute it on parts of the batch. */
  readonly splitsBatch: boolean;
  /** Loads the batch of `step` before the tape starts. */
  prepare?(step: number, part: BatchPart): void | Promise<void>;
  /** Called after a step outside the tape (codebook restarts, clamps). May assign variables. */
  afterStep?(params: T, step: number): void | Promise<void>;
  /** Pictures for the report: PNG bytes of a grid. Called with averaged weights when there are any. */
  sample?(params: T, step: number): Promise<Uint8Array>;
  readonly sampleEverySteps?: number;
};

/** What a stage keeps from step to step beside its weights, such as a discriminator. It goes into the checkpoints, not into the result. */
export type Companion = {
  /** The caller disposes the tensors. */
  state(): Record<string, tf.Tensor>;
  /** Continues from a saved state. Borrows it. */
  loadState(record: Readonly<Record<string, tf.Tensor>>): void;
  dispose(): void;
};

export type RunOptions = {
  readonly folder: string;
  readonly resume: boolean;
  readonly terminal: Terminal;
  readonly backend: string;
  readonly checkpointMinutes: number;
  /** Stop after so many minutes of this session (saved; `--resume` continues). */
  readonly maxMinutes?: number;
  /** Threads that compute the gradients of the other parts of each batch. */
  readonly workers?: Workers;
  /** Ends the waiting for a backend that is lost. */
  readonly guard?: StartedBackend['guard'];
};

export type RunResult<T extends ParamTree> = {
  /** Averaged weights when the stage keeps an average, else the raw ones. The caller disposes them. */
  readonly params: T;
  readonly step: number;
  readonly seconds: number;
  readonly finished: boolean;
};

const LOG_EVERY = 20;

/**
 * Trains a stage: gradients, clipping, AdamW, moving average, loss log, report, checkpoints.
 * Ctrl-C, `kill` and the closing of the terminal end it after the step in hand: it saves and returns with `finished: false`.
 *
 * @throws CliError while another process trains in the folder, and for a run that cannot be continued; BackendError when
 * the backend is lost or out of memory: the last checkpoint is then as it was.
 */
export async function runStage<T extends ParamTree>(stage: Stage<T>, options: RunOptions): Promise<RunResult<T>> {
  const release = lockFolder(options.folder);
  try {
    return await runLocked(stage, options);
  } finally {
    release();
  }
}

async function runLocked<T extends ParamTree>(stage: Stage<T>, options: RunOptions): Promise<RunResult<T>> {
  const { folder, workers } = options;
  const owner = createOwner();
  try {
    const start = findStart(stage, options, checkpointsOf(folder));
    if (start) owner.own({ dispose: () => tf.dispose(start.tensors) });
    ensureFolder(folder);
    const initial = stage.init();
    const params = toVariables(initial);
    disposeParams(initial);
    owner.own({ dispose: () => disposeParams(params) });
    const optimiser = owner.own(workers ? await createSharedOptimiser(params, stage.optimiser, workers) : createBackendOptimiser(params, stage.optimiser));
    const companion = stage.companion && owner.own(stage.companion());
    return await stoppable((signal) => trainFrom(stage, options, { start, params, optimiser, companion }, signal));
  } finally {
    owner.dispose();
  }
}

/** What a run begins with. */
type RunState<T extends ParamTree> = {
  readonly start: Checkpoint | undefined;
  readonly params: T;
  readonly optimiser: Optimiser<T>;
  readonly companion: Companion | undefined;
};

/** Trains until the last step, or until `signal` is aborted. Borrows the state. */
async function trainFrom<T extends ParamTree>(
  stage: Stage<T>,
  options: RunOptions,
  { start, params, optimiser, companion }: RunState<T>,
  signal: AbortSignal,
): Promise<RunResult<T>> {
  const { folder, terminal, workers } = options;
  const logPath = join(folder, 'log.jsonl');
  let step = start?.header.step ?? 0;
  const secondsBefore = start?.header.seconds ?? 0;
  const begun = performance.now();
  const seconds = (): number => secondsBefore + (performance.now() - begun) / 1000;
  const save = async (): Promise<void> => {
    const state = { ...optimiser.state(), ...(companion && prefixed('companion', companion.state())) };
    try {
      await saveCheckpoint(checkpointsOf(folder), { stage: stage.name, step, seconds: seconds(), config: stage.config }, state);
    } finally {
      tf.dispose(state);
    }
  };

  signal.addEventListener('abort', () => terminal.note(`\n${stage.name}: stopping after this step, saving … (again to stop at once)`));
  const progress = terminal.progress(stage.name, stage.steps);
  let savedAt = performance.now();
  const run = async (): Promise<RunResult<T>> => {
    if (start) {
      optimiser.loadState(start.tensors);
      companion?.loadState(withPrefix('companion', start.tensors));
      tf.dispose(start.tensors);
      terminal.note(`${stage.name}: continuing at step ${step} of ${stage.steps}.`);
    }
    keepLogUpTo(logPath, step);
    while (step < stage.steps && !signal.aborted) {
      if (options.maxMinutes !== undefined && performance.now() - begun > options.maxMinutes * 60_000) break;
      optimiser.begin(step);
      await stage.prepare?.(step, workers?.ownPart ?? WHOLE_BATCH);
      const rate = learningRateAt(stage.optimiser, step, stage.steps);
      const logged = (step + 1) % LOG_EVERY === 0 || step === 0;
      const terms = await trainStep(stage, params, optimiser, step, rate, logged, workers?.ownPart ?? WHOLE_BATCH);
      if (stage.afterStep) {
        await stage.afterStep(params, step);
        await optimiser.refresh();
      }
      step += 1;
      if (terms) {
        const line = { step, seconds: round(seconds()), rate, ...terms, tensors: tf.memory().numTensors, bytes: tf.memory().numBytes };
        appendFileSync(logPath, `${JSON.stringify(line)}\n`);
        progress.update(step, `loss ${(terms['loss'] as number).toFixed(4)}`);
      } else {
        progress.update(step);
      }
      if (stage.sample && stage.sampleEverySteps && step % stage.sampleEverySteps === 0) {
        const png = await stage.sample(optimiser.averaged(), step);
        writeFileAtomic(join(folder, 'samples', `step-${String(step).padStart(8, '0')}.png`), png);
        writeReport(folder, stage.name);
      }
      if (performance.now() - savedAt > options.checkpointMinutes * 60_000) {
        await save();
        writeReport(folder, stage.name);
        savedAt = performance.now();
      }
      // Lets signals and timers in: backends that compute synchronously never yield by themselves.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await save();
    writeReport(folder, stage.name);
    progress.stop();
    const finished = step >= stage.steps;
    terminal.note(`${stage.name}: ${finished ? 'finished' : 'saved'} at step ${step}, ${formatDuration(seconds())} in all on ${options.backend}.`);
    const result = cloneParams(optimiser.averaged());
    return { params: result, step, seconds: seconds(), finished };
  };
  try {
    return await (options.guard ?? unguarded)(run);
  } catch (error) {
    throw error instanceof BackendError ? brokenBackend(stage.name, step, error) : error;
  } finally {
    progress.stop();
  }
}

function checkpointsOf(folder: string): string {
  return join(folder, 'checkpoints');
}

async function trainStep<T extends ParamTree>(
  stage: Stage<T>,
  params: T,
  optimiser: Optimiser<T>,
  step: number,
  learningRate: number,
  logged: boolean,
  part: BatchPart,
): Promise<Record<string, number> | undefined> {
  const { loss: value, terms, grads } = stageGradients(stage, params, step, part);
  try {
    const loss = (await value.data())[0];
    const { norm, nonFinite } = await optimiser.update(grads, learningRate);
    if (!Number.isFinite(loss) || !Number.isFinite(norm)) throw badNumbers(stage.name, step, loss, norm, nonFinite);
    if (!logged) return undefined;
    const out: Record<string, number> = { loss, gradientNorm: norm };
    for (const [name, term] of Object.entries(terms)) out[name] = (await term.data())[0];
    return out;
  } finally {
    tf.dispose([value, grads, { ...terms }]);
  }
}

function unguarded<R>(work: () => Promise<R>): Promise<R> {
  return work();
}

function brokenBackend(stage: string, step: number, error: BackendError): BackendError {
  const remedy = error.code === 'memory' ? 'continue with --resume on another --backend, or begin another --run with a smaller batch' : 'continue with --resume';
  return new BackendError(error.code, `${stage}: at step ${step + 1}: ${error.message} What was saved is sound: ${remedy}.`, { cause: error });
}

/**
 * Why training stops at a loss or a gradient that is not finite.
 *
 * @param rate The entry of the stage's config that says how fast these weights learn.
 */
export function badNumbers(
  stage: string,
  step: number,
  loss: number,
  norm: number,
  nonFinite: string | undefined,
  rate = 'optimiser.learningRate',
): CliError {
  const what = [
    ...(Number.isFinite(loss) ? [] : [`the loss is ${loss}`]),
    ...(nonFinite === undefined ? [] : [`the gradient of "${nonFinite}" is not finite`]),
  ];
  if (what.length === 0) what.push(`the norm of the gradients is ${norm}`);
  return new CliError(
    `${stage}: at step ${step + 1} ${what.join(' and ')}. What was saved is sound: ` +
      `lower ${rate} or optimiser.clipNorm with --config, and continue with --resume.`,
  );
}

/**
 * The checkpoint to continue from; undefined for a run from the beginning. The caller disposes its tensors.
 *
 * @throws CliError rather than write over a run, or mix two.
 */
function findStart(stage: Stage<ParamTree>, options: RunOptions, checkpoints: string): Checkpoint | undefined {
  const { folder, resume, terminal } = options;
  if (!resume) {
    if (!existsSync(checkpoints)) return undefined;
    throw new CliError(
      `${folder} already holds a run of "${stage.name}". Add --resume to continue it, or remove the folder to start anew.`,
    );
  }
  const found = loadCheckpoint(checkpoints, terminal.note);
  if (!found) {
    terminal.note(`No checkpoint in ${checkpoints}: starting from the beginning.`);
    return undefined;
  }
  try {
    requireSameConfig(stage, found.header.config, checkpoints, terminal);
    return found;
  } catch (error) {
    tf.dispose(found.tensors);
    throw error;
  }
}

/** A run may be made longer or its rate be changed when it continues, which is said; everything else must be as it was. */
function requireSameConfig({ name, config, changeable = [] }: Stage<ParamTree>, saved: unknown, folder: string, terminal: Terminal): void {
  const free = ['steps', 'optimiser', ...changeable];
  const isFree = ({ at }: Difference): boolean => free.some((entry) => `${at.join('.')}.`.startsWith(`${entry}.`));
  const changed = findDifferences(saved, config);
  const lines = (differences: readonly Difference[]): string => differences.map((one) => describeDifference(one, name)).join('\n');
  const fixed = changed.filter((one) => !isFree(one));
  if (fixed.length > 0) {
    const quoted = free.map((entry) => `"${entry}"`);
    throw new CliError(
      `${folder}: the checkpoint of "${name}" was made with another config:\n${lines(fixed)}\n` +
        `Only ${quoted.slice(0, -1).join(', ')} and ${quoted.at(-1)} may change when a run continues. ` +
        'Use the same config (and, for "frozen", the same weights of those stages), or another run folder.',
    );
  }
  if (changed.length > 0) terminal.note(`Other settings than before:\n${lines(changed)}`);
}

/** Drops log lines past the checkpoint that a killed run wrote, so that the curve has no doubled piece. */
function keepLogUpTo(path: string, step: number): void {
  if (!existsSync(path)) return;
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  const kept = lines.filter((line) => {
    try {
      return (JSON.parse(line) as { step: number }).step <= step;
    } catch {
      return false; // a line torn by a crash
    }
  });
  if (kept.length < lines.length) writeFileAtomic(path, kept.map((line) => `${line}\n`).join(''));
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

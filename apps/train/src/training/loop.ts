import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  clipByGlobalNorm,
  cloneParams,
  createAdamW,
  createEma,
  firstNonFinite,
  flattenParams,
  restoreParams,
  toVariables,
  valueAndGrads,
  disposeParams,
  type ParamTree,
} from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { differences } from '../configs/differences';
import { CliError } from '../errors';
import { ensureFolder } from '../files';
import { formatDuration, type Terminal } from '../terminal';
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from './checkpoint';
import { WHOLE_BATCH, type BatchPart, type Workers } from './data-parallel';
import { writeReport } from './report';

export type OptimiserConfig = {
  readonly learningRate: number;
  /** Steps of linear warm-up from 0. */
  readonly warmupSteps: number;
  /** Over the last part of the run, this share of its steps, the rate falls on a cosine … */
  readonly decayShare: number;
  /** … to this share of `learningRate` at the last step. */
  readonly finalShare: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
  /** Decay of the moving average of the weights; 0 keeps none. */
  readonly emaDecay: number;
};

/** A stage of training: what is trained, and what one step computes. */
export type Stage<T extends ParamTree> = {
  readonly name: string;
  /** Fresh weights. */
  init(): T;
  /** Everything that must be equal for a checkpoint to continue. */
  readonly config: unknown;
  readonly optimiser: OptimiserConfig;
  readonly batchSize: number;
  readonly steps: number;
  /**
   * The loss of one step, called inside the gradient tape. `terms` are logged by name.
   * The batch is a function of `step` alone, so that a resumed run sees what an unbroken one would have seen.
   */
  loss(params: T, step: number, part: BatchPart): { loss: tf.Scalar; terms: Record<string, tf.Scalar> };
  /** Whether the loss is a mean over independent items, so that workers may compute it on parts of the batch. */
  readonly splitsBatch: boolean;
  /** Loads the batch of `step` before the tape starts. */
  prepare?(step: number, part: BatchPart): void | Promise<void>;
  /** Called after a step outside the tape (codebook restarts, clamps). May assign variables. */
  afterStep?(params: T, step: number): void;
  /** Pictures for the report: PNG bytes of a grid. Called with averaged weights when there are any. */
  sample?(params: T, step: number): Promise<Uint8Array>;
  readonly sampleEverySteps?: number;
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
 * Ctrl-C (or SIGTERM) ends after the step in hand, saves and returns with `finished: false`.
 */
export async function runStage<T extends ParamTree>(stage: Stage<T>, options: RunOptions): Promise<RunResult<T>> {
  const { folder, terminal } = options;
  const checkpoints = join(folder, 'checkpoints');
  const logPath = join(folder, 'log.jsonl');
  const start = findStart(stage, options, checkpoints);
  ensureFolder(folder);

  const initial = stage.init();
  const params = toVariables(initial);
  disposeParams(initial);
  const { optimiser } = stage;
  const adam = createAdamW(params, {
    learningRate: optimiser.learningRate,
    weightDecay: optimiser.weightDecay,
    decayFilter: (_path, tensor) => tensor.rank > 1,
  });
  const ema = optimiser.emaDecay > 0 ? createEma(params, { decay: optimiser.emaDecay, warmup: true }) : undefined;

  let step = start?.header.step ?? 0;
  const secondsBefore = start?.header.seconds ?? 0;
  const begun = performance.now();
  const seconds = (): number => secondsBefore + (performance.now() - begun) / 1000;
  const save = async (): Promise<void> => {
    const states = { ...prefixed('adam', adam.state()), ...(ema ? prefixed('ema', ema.state()) : {}) };
    try {
      const header = { stage: stage.name, step, seconds: seconds(), config: stage.config };
      await saveCheckpoint(checkpoints, header, { ...prefixed('params', flatRecord(params)), ...states });
    } finally {
      tf.dispose(states);
    }
  };
  const averaged = (): T => (ema ? (ema.params as T) : params);

  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(130);
    stopping = true;
    terminal.note(`\n${stage.name}: stopping after this step, saving … (again to stop at once)`);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const progress = terminal.progress(stage.name, stage.steps);
  let savedAt = performance.now();
  try {
    if (start) {
      restore(params, adam, ema, start.tensors);
      tf.dispose(start.tensors);
      terminal.note(`${stage.name}: continuing at step ${step} of ${stage.steps}.`);
    }
    keepLogUpTo(logPath, step);
    while (step < stage.steps && !stopping) {
      if (options.maxMinutes !== undefined && performance.now() - begun > options.maxMinutes * 60_000) break;
      await options.workers?.begin(step, params);
      await stage.prepare?.(step, options.workers?.ownPart ?? WHOLE_BATCH);
      const rate = learningRateAt(optimiser, step, stage.steps);
      const logged = (step + 1) % LOG_EVERY === 0 || step === 0;
      const terms = await trainStep(stage, params, adam, step, rate, logged, options.workers);
      ema?.update(params);
      stage.afterStep?.(params, step);
      step += 1;
      if (terms) {
        const line = { step, seconds: round(seconds()), rate, ...terms, tensors: tf.memory().numTensors, bytes: tf.memory().numBytes };
        appendFileSync(logPath, `${JSON.stringify(line)}\n`);
        progress.update(step, `loss ${(terms['loss'] as number).toFixed(4)}`);
      } else {
        progress.update(step);
      }
      if (stage.sample && stage.sampleEverySteps && step % stage.sampleEverySteps === 0) {
        const png = await stage.sample(averaged(), step);
        ensureFolder(join(folder, 'samples'));
        writeFileSync(join(folder, 'samples', `step-${String(step).padStart(8, '0')}.png`), png);
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
    const result = cloneParams(averaged());
    return { params: result, step, seconds: seconds(), finished };
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    progress.stop();
    tf.dispose(start?.tensors ?? {});
    adam.dispose();
    ema?.dispose();
    disposeParams(params);
  }
}

async function trainStep<T extends ParamTree>(
  stage: Stage<T>,
  params: T,
  adam: ReturnType<typeof createAdamW>,
  step: number,
  learningRate: number,
  logged: boolean,
  workers: Workers | undefined,
): Promise<Record<string, number> | undefined> {
  let kept: Record<string, tf.Scalar> = {};
  const { value, grads } = valueAndGrads(() => {
    const { loss, terms } = stage.loss(params, step, workers?.ownPart ?? WHOLE_BATCH);
    if (logged) kept = Object.fromEntries(Object.entries(terms).map(([name, term]) => [name, tf.keep(tf.clone(term))]));
    return loss;
  }, params);
  const all = workers ? await workers.meanWith(grads) : grads;
  const clipped = clipByGlobalNorm(all, stage.optimiser.clipNorm);
  try {
    const [loss, gradientNorm] = [(await value.data())[0], (await clipped.norm.data())[0]];
    // Before the weights change, so that every checkpoint is sound.
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      throw await badNumbers(stage.name, step, loss, gradientNorm, all);
    }
    adam.step(clipped.grads, { learningRate });
    if (!logged) return undefined;
    const out: Record<string, number> = { loss, gradientNorm };
    for (const [name, term] of Object.entries(kept)) out[name] = (await term.data())[0];
    return out;
  } finally {
    tf.dispose([value, grads, all, clipped.grads, clipped.norm, kept]);
  }
}

async function badNumbers(
  stage: string,
  step: number,
  loss: number,
  gradientNorm: number,
  grads: Record<string, tf.Tensor>,
): Promise<CliError> {
  const first = await firstNonFinite(grads);
  const what = [
    ...(Number.isFinite(loss) ? [] : [`the loss is ${loss}`]),
    ...(first === undefined ? [] : [`the gradient of "${first}" is not finite`]),
  ];
  if (what.length === 0) what.push(`the norm of the gradients is ${gradientNorm}`);
  return new CliError(
    `${stage}: at step ${step + 1} ${what.join(' and ')}. The last checkpoint is sound: ` +
      `lower optimiser.learningRate or optimiser.clipNorm with --config, and continue with --resume.`,
  );
}

/** Linear warm-up, a constant stretch, then half a cosine down to `finalShare`. */
export function learningRateAt(config: OptimiserConfig, step: number, steps: number): number {
  const { learningRate, warmupSteps, decayShare, finalShare } = config;
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const decaySteps = Math.min(steps * decayShare, steps - warmupSteps);
  const done = (step - (steps - decaySteps)) / Math.max(1, decaySteps);
  if (done <= 0) return learningRate;
  return learningRate * (finalShare + (1 - finalShare) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, done))));
}

function restore<T extends ParamTree>(
  params: T,
  adam: ReturnType<typeof createAdamW>,
  ema: ReturnType<typeof createEma> | undefined,
  tensors: Record<string, tf.Tensor>,
): void {
  const weights = restoreParams(params, withPrefix('params', tensors));
  assign(params, weights);
  disposeParams(weights);
  adam.loadState(withPrefix('adam', tensors));
  ema?.loadState(withPrefix('ema', tensors));
}

function assign(variables: ParamTree, values: ParamTree): void {
  const byPath = flatRecord(values);
  for (const { path, tensor } of flattenParams(variables)) (tensor as tf.Variable).assign(byPath[path]);
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
    requireSameConfig(stage, found.header.config, checkpoints);
    return found;
  } catch (error) {
    tf.dispose(found.tensors);
    throw error;
  }
}

/** A run may be made longer or its rate be changed when it continues; everything else must be as it was. */
function requireSameConfig(stage: { name: string; config: unknown }, saved: unknown, folder: string): void {
  const changed = differences(fixedPart(saved), fixedPart(stage.config), stage.name);
  if (changed.length > 0) {
    throw new CliError(
      `${folder}: the checkpoint of "${stage.name}" was made with another config:\n${changed.join('\n')}\n` +
        `Only "steps" and "optimiser" may change when a run continues. Use the same config, or another run folder.`,
    );
  }
}

function fixedPart(config: unknown): unknown {
  const { steps: _steps, optimiser: _optimiser, ...fixed } = config as { steps?: unknown; optimiser?: unknown };
  return fixed;
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
  writeFileSync(path, kept.map((line) => `${line}\n`).join(''));
}

function flatRecord(tree: ParamTree): Record<string, tf.Tensor> {
  return Object.fromEntries(flattenParams(tree).map(({ path, tensor }) => [path, tensor]));
}

function prefixed(prefix: string, record: Record<string, tf.Tensor>): Record<string, tf.Tensor> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [`${prefix}/${key}`, value]));
}

function withPrefix(prefix: string, record: Record<string, tf.Tensor>): Record<string, tf.Tensor> {
  const start = `${prefix}/`;
  return Object.fromEntries(
    Object.entries(record).filter(([key]) => key.startsWith(start)).map(([key, value]) => [key.slice(start.length), value]),
  );
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

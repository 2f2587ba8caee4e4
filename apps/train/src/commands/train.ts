import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { deviceOf, type BackendChoice } from '../backend';
import type { PictureBookConfig } from '../configs/config';
import { disposeParams, type ParamTree } from '@sgdiff/nn';
import { CliError } from '../errors';
import { hasStage, readStageRecord, writeStage, type RunFolder, type StageName } from '../run-folder';
import { openStage, type OpenStage } from '../stages/open-stage';
import type { Terminal } from '../terminal';
import { startWorkers } from '../training/data-parallel';
import { runStage, type RunOptions } from '../training/loop';

export type TrainOptions = {
  readonly resume: boolean;
  readonly checkpointMinutes: number;
  readonly maxMinutes?: number;
  /** Threads that each compute the gradients of a part of the batch; 1 computes all of it here. */
  readonly workers: number;
  readonly terminal: Terminal;
  readonly backend: BackendChoice;
};

/** Trains one stage of a run and leaves its weights in the run's folder. */
export async function train(name: StageName, config: PictureBookConfig, run: RunFolder, options: TrainOptions): Promise<void> {
  requireNothingStandsOn(name, config, run);
  const { backend, terminal } = options;
  const open: OpenStage<ParamTree> = await backend.guard(() => openStage(name, config, run, terminal));
  try {
    await runAndWrite(name, open, config, run, options);
  } finally {
    open.dispose();
  }
}

/** More training of a part that the U-Net was trained on would make that U-Net worthless. */
function requireNothingStandsOn(name: StageName, config: PictureBookConfig, run: RunFolder): void {
  if ((name !== 'autoencoder' && name !== 'pretrain') || !hasStage(run, name) || !existsSync(join(run.stage('diffusion'), 'checkpoints'))) return;
  const { step } = readStageRecord(run, name);
  if (step >= config[name].steps) return; // writes the same weights again
  throw new CliError(
    `"${name}" has ${step} of ${config[name].steps} steps, but "diffusion" was begun on its weights as they are. ` +
      `Train it further in another --run, or remove ${run.stage('diffusion')} first.`,
  );
}

async function runAndWrite(
  name: StageName,
  open: OpenStage<ParamTree>,
  config: PictureBookConfig,
  run: RunFolder,
  options: TrainOptions,
): Promise<void> {
  const { terminal, backend, workers: count } = options;
  const { stage } = open;
  if (count > 1 && !stage.splitsBatch) {
    const why = name === 'autoencoder' ? 'trains against a discriminator that judges a batch as a whole' : 'compares the items of a batch with each other';
    throw new CliError(`The stage "${name}" ${why}, so a batch cannot be split. Leave out --workers.`);
  }
  if (stage.batchSize % count !== 0) {
    throw new CliError(`--workers ${count}: the batch of ${stage.batchSize} must be a multiple of it.`);
  }
  const workers = count > 1 ? await startWorkers({ stage: name, config, run: run.path, backend: backend.name, count: count - 1 }) : undefined;
  const loop: RunOptions = {
    folder: run.stage(name),
    resume: options.resume,
    terminal,
    backend: count > 1 ? `${backend.name}, ${count} workers` : deviceOf(backend),
    checkpointMinutes: options.checkpointMinutes,
    guard: (work) => backend.guard(work),
    ...(options.maxMinutes === undefined ? {} : { maxMinutes: options.maxMinutes }),
    ...(workers ? { workers } : {}),
  };
  try {
    const result = await runStage(stage, loop);
    try {
      await writeStage(run, result.params, {
        stage: name,
        config: stage.config,
        step: result.step,
        steps: stage.steps,
        seconds: Math.round(result.seconds),
        backend: loop.backend,
        facts: await backend.guard(async () => open.facts(result.params)),
      });
      const { step, seconds, finished } = result;
      terminal.result({ stage: name, step, steps: stage.steps, seconds, finished, folder: loop.folder });
    } finally {
      disposeParams(result.params);
    }
  } finally {
    await workers?.stop();
  }
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CheckpointError, paramsFromSafetensors, paramsToSafetensors, restoreParams, type ParamTree } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { CliError } from './errors';
import { readOwnJson, sha256, writeFileAtomic } from './files';

export const STAGES = ['autoencoder', 'pretrain', 'detector', 'diffusion'] as const;
export type StageName = (typeof STAGES)[number];

/** What a stage leaves for those after it: its weights, and how they came about. */
export type StageRecord = {
  readonly stage: StageName;
  readonly config: unknown;
  readonly step: number;
  readonly steps: number;
  readonly seconds: number;
  readonly backend: string;
  /** Numbers later stages need (the latents' scale, score thresholds, …). */
  readonly facts: Readonly<Record<string, unknown>>;
};

/** One experiment's folder: `data/`, and a folder per stage with checkpoints, log, report and weights. */
export type RunFolder = {
  readonly path: string;
  readonly data: string;
  stage(name: StageName): string;
};

export function runFolder(path: string): RunFolder {
  return { path, data: join(path, 'data'), stage: (name) => join(path, name) };
}

/** Writes `weights.safetensors` (float32) and `stage.json` of a stage. Borrows the weights. */
export async function writeStage(run: RunFolder, params: ParamTree, record: StageRecord): Promise<void> {
  const folder = run.stage(record.stage);
  writeFileAtomic(join(folder, 'weights.safetensors'), await paramsToSafetensors(params, { dtype: 'F32' }));
  writeFileAtomic(join(folder, 'stage.json'), `${JSON.stringify(record, null, 2)}\n`);
}

export function hasStage(run: RunFolder, name: StageName): boolean {
  return existsSync(join(run.stage(name), 'stage.json'));
}

export function readStageRecord(run: RunFolder, name: StageName): StageRecord {
  const path = join(run.stage(name), 'stage.json');
  if (!existsSync(path)) {
    throw new CliError(`${run.path} holds no trained "${name}" (no ${path}). Run "sgdiff train ${name}" first.`);
  }
  return readOwnJson(path, REMEDY(name)) as StageRecord;
}

/** The trained weights of a stage in the shape of `template`, which is borrowed. The caller disposes the result. */
export function readStageWeights<T extends ParamTree>(run: RunFolder, name: StageName, template: T): T {
  readStageRecord(run, name);
  const path = join(run.stage(name), 'weights.safetensors');
  if (!existsSync(path)) throw new CliError(`${path} is missing. ${REMEDY(name)}`);
  let tensors: Record<string, tf.Tensor> = {};
  try {
    tensors = paramsFromSafetensors(readFileSync(path));
    return restoreParams(template, tensors);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new CliError(
      `${path} cannot be used: ${error.message} Give the --config that "${name}" was trained with; if the file is damaged: ${REMEDY(name)}`,
      { cause: error },
    );
  } finally {
    tf.dispose(tensors);
  }
}

/** Hash of a stage's weights: what a later stage stands on must not change beneath it. */
export function stageHash(run: RunFolder, name: StageName): string {
  const path = join(run.stage(name), 'weights.safetensors');
  if (!existsSync(path)) throw new CliError(`${path} is missing. ${REMEDY(name)}`);
  return sha256(readFileSync(path));
}

const REMEDY = (name: StageName): string => `Run "sgdiff train ${name} --resume": it writes the weights of the last checkpoint again.`;

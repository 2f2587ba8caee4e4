import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { messageOf, sha256, writeFileAtomic } from '../files';

/**
 * A training state on disk: `step-00001200.safetensors` holds every tensor, `step-00001200.json` is written
 * after it and holds the hash of it. A checkpoint whose JSON is missing or whose hash differs does not count.
 */
export type CheckpointHeader = {
  readonly format: 1;
  readonly stage: string;
  readonly step: number;
  /** Seconds of training up to here, over all sessions. */
  readonly seconds: number;
  /** The stage's config; resuming with another one is refused. */
  readonly config: unknown;
  readonly sha256: string;
};

export type Checkpoint = { readonly header: CheckpointHeader; readonly tensors: Record<string, tf.Tensor> };

const KEEP = 3;

/** Writes one checkpoint and removes all but the newest three. Borrows the tensors. */
export async function saveCheckpoint(
  folder: string,
  header: Omit<CheckpointHeader, 'format' | 'sha256'>,
  tensors: Record<string, tf.Tensor>,
): Promise<void> {
  const entries: Record<string, SafeTensor> = {};
  for (const [path, tensor] of Object.entries(tensors)) {
    entries[path] = { dtype: 'F32', shape: tensor.shape, data: new Float32Array(await tensor.data()) };
  }
  const bytes = encodeSafetensors(entries, { stage: header.stage, step: String(header.step) });
  const name = `step-${String(header.step).padStart(8, '0')}`;
  writeFileAtomic(join(folder, `${name}.safetensors`), bytes);
  const full: CheckpointHeader = { format: 1, ...header, sha256: sha256(bytes) };
  writeFileAtomic(join(folder, `${name}.json`), `${JSON.stringify(full, null, 2)}\n`);
  const kept = new Set(checkpointNames(folder).slice(0, KEEP));
  for (const file of readdirSync(folder)) {
    const [, step, ending] = /^(step-\d+)\.(.+)$/.exec(file) ?? [];
    // What a killed run left half-written goes too.
    if (step !== undefined && !(kept.has(step) && ['json', 'safetensors'].includes(ending))) rmSync(join(folder, file), { force: true });
  }
}

/**
 * The newest sound checkpoint, or undefined. Torn ones are skipped and reported through `warn`.
 * The caller disposes the tensors.
 */
export function loadCheckpoint(folder: string, warn: (line: string) => void): Checkpoint | undefined {
  for (const name of checkpointNames(folder)) {
    const path = join(folder, `${name}.safetensors`);
    try {
      const header = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as CheckpointHeader;
      const bytes = readFileSync(path);
      if (sha256(bytes) !== header.sha256) throw new Error('its hash differs from the one in its header');
      const { tensors } = decodeSafetensors(bytes);
      return {
        header,
        tensors: Object.fromEntries(
          Object.entries(tensors).map(([key, { shape, data }]) => [key, tf.tensor(data, [...shape], 'float32')]),
        ),
      };
    } catch (error) {
      warn(`Skipping the checkpoint ${path}: ${messageOf(error).replace(/\.$/, '')}.`);
    }
  }
  return undefined;
}

/** Names without extension, newest first; only those with a header. */
function checkpointNames(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => /^step-\d+\.json$/.test(file))
    .map((file) => file.slice(0, -'.json'.length))
    .sort()
    .reverse();
}

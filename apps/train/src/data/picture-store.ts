import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Box, SceneGraph } from '@sgdiff/sg-schema';
import { CliError } from '../errors';

export type Split = 'train' | 'validation' | 'test' | 'detector';

/** What the store keeps of a scene beside its pixels. */
export type StoredSample = {
  /** Position in the split: with the data seed it names the scene. */
  readonly index: number;
  readonly graph: SceneGraph;
  /** All visible parts of the scene, named in the graph or not. */
  readonly objects: readonly { readonly category: string; readonly box: Box }[];
};

export type StoreManifest = {
  readonly format: 1;
  readonly dataset: 'picture-book';
  readonly seed: number;
  readonly size: number;
  readonly shardSize: number;
  readonly splits: Readonly<Record<Split, number>>;
};

/**
 * A prepared split on disk, in shards: `train-0000.rgb` (bytes, `[n, H, W, 3]`) and `train-0000.json` (samples).
 * Pixels are read when asked for; graphs and boxes stay in memory.
 */
export type PictureStore = {
  readonly count: number;
  readonly size: number;
  readonly samples: readonly StoredSample[];
  /** Pixels of one picture in [-1, 1], written into `out` at `offset`. */
  readPixels(index: number, out: Float32Array, offset: number): void;
  dispose(): void;
};

export function shardName(split: Split, shard: number): string {
  return `${split}-${String(shard).padStart(4, '0')}`;
}

export function readManifest(folder: string): StoreManifest {
  const path = join(folder, 'manifest.json');
  if (!existsSync(path)) {
    throw new CliError(`${folder} holds no prepared data (no manifest.json). Run "sgdiff prepare picture-book" first.`);
  }
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as StoreManifest;
  if (manifest.format !== 1) {
    throw new CliError(`${path}: format ${String(manifest.format)}, expected 1. Remove the folder and prepare the data again.`);
  }
  return manifest;
}

export function openStore(folder: string, split: Split, limit = Infinity): PictureStore {
  const manifest = readManifest(folder);
  const { size, shardSize } = manifest;
  const count = Math.min(manifest.splits[split], limit);
  if (count === 0) throw new CliError(`${folder}: the split "${split}" is empty. Prepare it with more samples.`);
  const pictureBytes = size * size * 3;
  const samples: StoredSample[] = [];
  const files: number[] = [];
  for (let shard = 0; shard * shardSize < count; shard++) {
    const base = join(folder, shardName(split, shard));
    if (!existsSync(`${base}.json`)) {
      throw new CliError(`${base}.json is missing. Run "sgdiff prepare picture-book" again: it makes what is not there.`);
    }
    samples.push(...(JSON.parse(readFileSync(`${base}.json`, 'utf8')) as StoredSample[]));
    files.push(openSync(`${base}.rgb`, 'r'));
  }
  samples.length = count;
  const bytes = new Uint8Array(pictureBytes);
  return {
    count,
    size,
    samples,
    readPixels(index, out, offset) {
      const position = (index % shardSize) * pictureBytes;
      const read = readSync(files[Math.floor(index / shardSize)], bytes, 0, pictureBytes, position);
      if (read !== pictureBytes) {
        throw new CliError(`${folder}: the shard of picture ${index} of "${split}" is too short. Remove it and prepare again.`);
      }
      for (let i = 0; i < pictureBytes; i++) out[offset + i] = bytes[i] / 127.5 - 1;
    },
    dispose() {
      for (const file of files.splice(0)) closeSync(file);
    },
  };
}

import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Box, SceneGraph } from '@sgdiff/sg-schema';
import { differences } from '../configs/differences';
import { CliError } from '../errors';
import { readOwnJson } from '../files';

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

export function readManifest(folder: string, file = 'manifest.json'): StoreManifest {
  const path = join(folder, file);
  if (!existsSync(path)) {
    throw new CliError(`${folder} holds no prepared data (no ${file}). Run "sgdiff prepare picture-book" first.`);
  }
  const manifest = readOwnJson(path, REMEDY) as StoreManifest;
  if (manifest.format !== 1) {
    throw new CliError(`${path}: expected format 1, received ${String(manifest.format)}. ${REMEDY}`);
  }
  return manifest;
}

/** What is prepared must be what the config says. @throws CliError naming what differs. */
export function requireData(folder: string, config: Readonly<Record<'seed' | 'size' | Split, number>>): void {
  const { seed, size, splits } = readManifest(folder);
  const changed = differences({ seed, size, ...splits }, { ...config }, 'data');
  if (changed.length === 0) return;
  throw new CliError(
    `${folder} holds other data than the config asks for:\n${changed.join('\n')}\n` +
      'Give the --config that it was prepared with, or take another --run.',
  );
}

export function openStore(folder: string, split: Split, limit = Infinity): PictureStore {
  const manifest = readManifest(folder);
  const { size, shardSize } = manifest;
  const count = Math.min(manifest.splits[split], limit);
  if (count === 0) throw new CliError(`${folder}: the split "${split}" is empty. Prepare it with more samples.`);
  const pictureBytes = size * size * 3;
  const samples: StoredSample[] = [];
  const shards = Array.from({ length: Math.ceil(count / shardSize) }, (_, shard) => join(folder, shardName(split, shard)));
  for (const [shard, base] of shards.entries()) {
    for (const path of [`${base}.json`, `${base}.rgb`]) {
      if (!existsSync(path)) throw new CliError(`${path} is missing. ${remakeShard(base)}`);
    }
    const there = readOwnJson(`${base}.json`, remakeShard(base)) as StoredSample[];
    const wanted = Math.min(shardSize, manifest.splits[split] - shard * shardSize);
    const bytes = statSync(`${base}.rgb`).size;
    if (there.length < wanted || bytes < wanted * pictureBytes) {
      throw new CliError(
        `${base}: expected ${wanted} samples in ${wanted * pictureBytes} bytes of pixels, received ${there.length} in ${bytes}. ${remakeShard(base)}`,
      );
    }
    samples.push(...there.slice(0, wanted));
  }
  samples.length = count;
  const files = shards.map((base) => openSync(`${base}.rgb`, 'r'));
  const bytes = new Uint8Array(pictureBytes);
  return {
    count,
    size,
    samples,
    readPixels(index, out, offset) {
      const position = (index % shardSize) * pictureBytes;
      const read = readSync(files[Math.floor(index / shardSize)], bytes, 0, pictureBytes, position);
      if (read !== pictureBytes) {
        const base = shards[Math.floor(index / shardSize)];
        throw new CliError(`${base}.rgb ends before picture ${index} of "${split}". ${remakeShard(base)}`);
      }
      for (let i = 0; i < pictureBytes; i++) out[offset + i] = bytes[i] / 127.5 - 1;
    },
    dispose() {
      for (const file of files.splice(0)) closeSync(file);
    },
  };
}

const REMEDY = 'Remove the folder and run "sgdiff prepare picture-book" again.';

function remakeShard(base: string): string {
  return `Remove ${base}.json and run "sgdiff prepare picture-book" again: it makes what is not there.`;
}

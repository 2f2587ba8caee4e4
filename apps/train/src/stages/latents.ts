import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode, type AutoencoderConfig, type AutoencoderParams } from '@sgdiff/latent-autoencoder';
import * as tf from '@tensorflow/tfjs-core';
import { readPictures } from '../data/batches';
import type { PictureStore } from '../data/picture-store';
import { sha256, writeFileAtomic } from '../files';
import type { Terminal } from '../terminal';

/** Latents of a whole split before quantisation, computed once: `[count, h, w, C]` flat. */
export type LatentCache = {
  readonly shape: readonly [h: number, w: number, c: number];
  readonly data: Float32Array;
  /** Standard deviation over all values: dividing by it gives the diffusion unit variance. */
  readonly standardDeviation: number;
};

const BATCH = 50;

/** Reads the cache file when it belongs to these weights and pictures, else encodes the split and writes it. */
export async function cacheLatents(
  folder: string,
  name: string,
  params: AutoencoderParams,
  config: AutoencoderConfig,
  weightsHash: string,
  store: PictureStore,
  terminal: Terminal,
): Promise<LatentCache> {
  const path = join(folder, `latents-${name}.f32`);
  const headerPath = join(folder, `latents-${name}.json`);
  if (existsSync(headerPath) && existsSync(path)) {
    const header = JSON.parse(readFileSync(headerPath, 'utf8')) as { weights: string; count: number; shape: [number, number, number]; sha256: string };
    const bytes = readFileSync(path);
    if (header.weights === weightsHash && header.count === store.count && header.sha256 === sha256(bytes)) {
      const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      return { shape: header.shape, data, standardDeviation: standardDeviation(data) };
    }
  }
  const progress = terminal.progress(`latents of ${name}`, store.count);
  let data = new Float32Array(0);
  let shape: [number, number, number] = [0, 0, 0];
  try {
    for (let first = 0; first < store.count; first += BATCH) {
      const count = Math.min(BATCH, store.count - first);
      const pixels = readPictures(store, Array.from({ length: count }, (_, i) => first + i));
      const latents = tf.tidy(() => encode(params, config, tf.tensor4d(pixels, [count, store.size, store.size, 3])));
      try {
        shape = latents.shape.slice(1) as [number, number, number];
        const each = shape[0] * shape[1] * shape[2];
        if (first === 0) data = new Float32Array(store.count * each);
        data.set(await latents.data(), first * each);
      } finally {
        latents.dispose();
      }
      progress.update(first + count);
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    progress.stop();
  }
  const bytes = new Uint8Array(data.buffer);
  writeFileAtomic(path, bytes);
  writeFileAtomic(headerPath, JSON.stringify({ weights: weightsHash, count: store.count, shape, sha256: sha256(bytes) }));
  return { shape, data, standardDeviation: standardDeviation(data) };
}

function standardDeviation(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / values.length);
}

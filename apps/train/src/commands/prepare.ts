import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { renderScene, sampleScene } from '@sgdiff/datasets';
import { sceneText } from '@sgdiff/sg-schema';
import type { PictureBookConfig } from '../configs/config';
import { openStore, readManifest, shardName, type Split, type StoredSample, type StoreManifest } from '../data/picture-store';
import { CliError } from '../errors';
import { ensureFolder, requireWritableFolder, writeFileAtomic } from '../files';
import { encodePicture, tile, type Picture } from '../png';
import { createRasterizer } from '../rasterizer';
import { stoppable } from '../stop-signals';
import { formatDuration, type Progress, type Terminal } from '../terminal';

const SHARD_SIZE = 1000;
/** Stands in for the manifest until the last shard is there, so that the shards of a stopped run are not mixed with others. */
const UNFINISHED = 'unfinished.json';
const SPLITS: readonly Split[] = ['train', 'validation', 'test', 'detector'];

/**
 * Draws picture-book's splits into shards under `folder`. Whole shards that are there already are kept, so an
 * interrupted run continues where it stopped.
 */
export async function preparePictureBook(
  config: PictureBookConfig['data'],
  folder: string,
  terminal: Terminal,
): Promise<{ folder: string; splits: Record<Split, number>; contactSheet: string; seconds: number }> {
  requireWritableFolder(folder);
  const manifest: StoreManifest = {
    format: 1,
    dataset: 'picture-book',
    seed: config.seed,
    size: config.size,
    shardSize: SHARD_SIZE,
    splits: { train: config.train, validation: config.validation, test: config.test, detector: config.detector },
  };
  requireSameData(folder, manifest);
  writeFileAtomic(join(folder, UNFINISHED), `${JSON.stringify(manifest, null, 2)}\n`);
  const rasterize = await createRasterizer();
  const total = SPLITS.reduce((sum, split) => sum + manifest.splits[split], 0);
  const begun = performance.now();
  const progress = terminal.progress('prepare', total);
  try {
    await stoppable((signal) => drawShards(manifest, folder, rasterize, progress, signal));
  } finally {
    progress.stop();
  }
  writeFileAtomic(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  rmSync(join(folder, UNFINISHED), { force: true });
  const contactSheet = join(folder, 'contact-sheet.png');
  writeContactSheet(folder, contactSheet);
  const seconds = (performance.now() - begun) / 1000;
  terminal.say(`Prepared ${total} pictures of ${config.size} px in ${folder} (${formatDuration(seconds)}). Look at ${contactSheet}`);
  return { folder, splits: manifest.splits, contactSheet, seconds };
}

/** Draws the shards that are not there yet. */
async function drawShards(
  { seed, size, splits }: StoreManifest,
  folder: string,
  rasterize: Awaited<ReturnType<typeof createRasterizer>>,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  let done = 0;
  for (const split of SPLITS) {
    for (let first = 0; first < splits[split]; first += SHARD_SIZE) {
      const base = join(folder, shardName(split, first / SHARD_SIZE));
      const count = Math.min(SHARD_SIZE, splits[split] - first);
      if (!existsSync(`${base}.json`) || !existsSync(`${base}.rgb`)) {
        const pixels = new Uint8Array(count * size * size * 3);
        const samples: StoredSample[] = [];
        for (let i = 0; i < count; i++) {
          const index = first + i;
          const sample = renderScene(sampleScene({ seed, split, index }), size, rasterize);
          pixels.set(sample.image, i * size * size * 3);
          samples.push({
            index,
            graph: sample.graph,
            objects: sample.objects.map(({ category, box }) => ({ category, box })),
          });
          progress.update(done + i + 1, split);
          if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
          if (signal.aborted) throw new CliError(`Stopped. Whole shards are kept: repeat the command to continue.`, { exitCode: 130 });
        }
        writeFileAtomic(`${base}.rgb`, pixels);
        writeFileAtomic(`${base}.json`, JSON.stringify(samples));
      }
      done += count;
      progress.update(done, split);
    }
  }
}

/** 64 samples of the validation split in a grid, and their graphs as text beside it. */
function writeContactSheet(folder: string, path: string): void {
  const store = openStore(folder, 'validation', 64);
  try {
    const pixels = new Float32Array(store.size * store.size * 3);
    const pictures: Picture[] = store.samples.map((_, i) => {
      store.readPixels(i, pixels, 0);
      return { width: store.size, height: store.size, data: Uint8Array.from(pixels, (v) => Math.round((v + 1) * 127.5)) };
    });
    ensureFolder(folder);
    writeFileAtomic(path, encodePicture(tile(pictures, 8, { zoom: store.size < 128 ? 2 : 1 })));
    const lines = store.samples.map(({ graph }, i) => `${i}: ${sceneText(graph)}`);
    writeFileAtomic(path.replace(/\.png$/, '.txt'), `${lines.join('\n')}\n`);
  } finally {
    store.dispose();
  }
}

/** Shards of another seed or size must not be mixed in. */
function requireSameData(folder: string, wanted: StoreManifest): void {
  const file = [UNFINISHED, 'manifest.json'].find((name) => existsSync(join(folder, name)));
  if (file === undefined) return;
  const there = readManifest(folder, file);
  if (there.seed !== wanted.seed || there.size !== wanted.size || there.shardSize !== wanted.shardSize) {
    throw new CliError(
      `${folder} holds picture-book of seed ${there.seed} at ${there.size} px, asked for seed ${wanted.seed} at ${wanted.size} px. ` +
        `Choose another folder with --run, or remove this one.`,
    );
  }
  for (const split of SPLITS) {
    const before = there.splits[split];
    if (before === wanted.splits[split] || before % SHARD_SIZE === 0) continue;
    const last = join(folder, shardName(split, Math.floor(before / SHARD_SIZE)));
    rmSync(`${last}.json`, { force: true }); // a last shard that was not full is drawn anew
    rmSync(`${last}.rgb`, { force: true });
  }
}

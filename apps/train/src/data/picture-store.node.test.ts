import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { CliError } from '../errors';
import { temporaryFolder } from '../testing/temporary-folder';
import { readPictures } from './batches';
import { openStore, readManifest, shardName, type StoredSample, type StoreManifest } from './picture-store';

const SIZE = 2;
const BYTES = SIZE * SIZE * 3;
const manifest: StoreManifest = {
  format: 1,
  dataset: 'picture-book',
  seed: 1,
  size: SIZE,
  shardSize: 3,
  splits: { train: 7, validation: 2, test: 1, detector: 0 },
};

const root = temporaryFolder();
let folder = root;

const sample = (index: number): StoredSample => ({
  index,
  graph: { objects: ['sheep'], relationships: [], boxes: [[0, 0, 1, index / 10]] },
  objects: [{ category: 'sheep', box: [0, 0, 1, index / 10] }],
});
/** All bytes of a picture tell its index, but the last, which is 255. */
const pixels = (index: number): number[] => [...new Array<number>(BYTES - 1).fill(index), 255];

beforeEach(({ task }) => {
  folder = join(root, task.id);
  mkdirSync(folder);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  for (const split of ['train', 'validation', 'test'] as const) {
    for (let first = 0; first < manifest.splits[split]; first += manifest.shardSize) {
      const indices = Array.from({ length: Math.min(3, manifest.splits[split] - first) }, (_, i) => first + i);
      const base = join(folder, shardName(split, first / 3));
      writeFileSync(`${base}.json`, JSON.stringify(indices.map(sample)));
      writeFileSync(`${base}.rgb`, Uint8Array.from(indices.flatMap(pixels)));
    }
  }
});

const path = (name: string): string => join(folder, name);
const again = (base: string): string => `Remove ${path(base)}.json and run "sgdiff prepare picture-book" again: it makes what is not there.`;

describe('openStore', () => {
  it('gives back what was stored, over the borders of shards', () => {
    const store = openStore(folder, 'train');
    expect(store).toMatchObject({ count: 7, size: SIZE });
    expect(store.samples).toEqual(Array.from({ length: 7 }, (_, i) => sample(i)));
    const order = [6, 0, 3, 2, 5];
    const read = readPictures(store, order);
    expect(read).toHaveLength(order.length * BYTES);
    order.forEach((index, i) => {
      expect([...read.slice(i * BYTES, (i + 1) * BYTES)].map((value) => Math.round((value + 1) * 127.5))).toEqual(pixels(index));
    });
    expect(read[BYTES]).toBe(-1); // picture 0: byte 0
    expect(read[BYTES - 1]).toBe(1); // byte 255
    store.dispose();
  });

  it('may be limited to the first samples', () => {
    const store = openStore(folder, 'train', 4);
    expect(store.count).toBe(4);
    expect(store.samples.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    store.dispose();
  });

  it.each<[name: string, spoil: () => void, split: 'train' | 'detector', message: () => string]>([
    [
      'nothing was prepared',
      () => rmSync(path('manifest.json')),
      'train',
      () => `${folder} holds no prepared data (no manifest.json). Run "sgdiff prepare picture-book" first.`,
    ],
    [
      'the manifest is of another format',
      () => writeFileSync(path('manifest.json'), '{"format":2}'),
      'train',
      () => `${path('manifest.json')}: expected format 1, received 2. Remove the folder and run "sgdiff prepare picture-book" again.`,
    ],
    ['a split is empty', () => undefined, 'detector', () => `${folder}: the split "detector" is empty. Prepare it with more samples.`],
    [
      'a shard lacks its samples',
      () => rmSync(path('train-0001.json')),
      'train',
      () => `${path('train-0001.json')} is missing. ${again('train-0001')}`,
    ],
    [
      'a shard lacks its pixels',
      () => rmSync(path('train-0002.rgb')),
      'train',
      () => `${path('train-0002.rgb')} is missing. ${again('train-0002')}`,
    ],
    [
      'the pixels of a shard are cut',
      () => truncateSync(path('train-0001.rgb'), 30),
      'train',
      () => `${path('train-0001')}: expected 3 samples in 36 bytes of pixels, received 3 in 30. ${again('train-0001')}`,
    ],
    [
      'a shard has too few samples',
      () => writeFileSync(path('train-0000.json'), JSON.stringify([sample(0)])),
      'train',
      () => `${path('train-0000')}: expected 3 samples in 36 bytes of pixels, received 1 in 36. ${again('train-0000')}`,
    ],
  ])('says what to do when %s', (_name, spoil, split, message) => {
    spoil();
    expect(() => openStore(folder, split)).toThrow(new CliError(message()));
  });

  it('says which file is damaged', () => {
    writeFileSync(path('train-0001.json'), '[{');
    expect(() => openStore(folder, 'train')).toThrow(`${path('train-0001.json')} cannot be read: `);
    writeFileSync(path('manifest.json'), '');
    expect(() => readManifest(folder)).toThrow(`${path('manifest.json')} cannot be read: Unexpected end of JSON input. Remove the folder`);
  });

  it('notices a shard that is cut while it is in use', () => {
    const store = openStore(folder, 'train');
    truncateSync(path('train-0001.rgb'), BYTES);
    expect(() => readPictures(store, [4])).toThrow(`${path('train-0001.rgb')} ends before picture 4 of "train". ${again('train-0001')}`);
    expect(() => readPictures(store, [3])).not.toThrow();
    store.dispose();
  });
});

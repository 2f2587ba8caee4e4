import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../data/picture-store';
import { CliError } from '../errors';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { preparePictureBook } from './prepare';

const data = { seed: 1, size: 64 as const, train: 3, validation: 1, test: 1, detector: 1 };

const root = temporaryFolder();
let folder = root;

beforeEach(({ task }) => {
  folder = join(root, task.id);
});

const prepare = (over: Partial<typeof data> = {}): ReturnType<typeof preparePictureBook> =>
  preparePictureBook({ ...data, ...over }, folder, silentTerminal());
const read = (file: string): Buffer => readFileSync(join(folder, file));

describe('preparePictureBook', () => {
  it('draws the same data again, and keeps whole shards that are there', async () => {
    await prepare();
    const before = ['train-0000.rgb', 'train-0000.json', 'manifest.json', 'contact-sheet.txt'].map(read);
    writeFileSync(join(folder, 'test-0000.json'), '[{"kept":true}]');
    await prepare();
    expect(['train-0000.rgb', 'train-0000.json', 'manifest.json', 'contact-sheet.txt'].map(read)).toEqual(before);
    expect(read('test-0000.json').toString()).toBe('[{"kept":true}]');
  });

  it('draws a shard anew that is to hold more, with the same pictures in it', async () => {
    await prepare();
    const before = read('train-0000.rgb');
    await prepare({ train: 5 });
    expect(read('train-0000.rgb').subarray(0, before.length).equals(before)).toBe(true);
    const store = openStore(folder, 'train');
    expect(store.samples.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    store.dispose();
  });

  it('is stopped by Ctrl-C between shards, and nothing of it counts as prepared', async () => {
    const running = prepare({ train: 60 });
    const listeners = process.listenerCount('SIGINT');
    while (process.listenerCount('SIGINT') === listeners) await new Promise((resolve) => setImmediate(resolve));
    process.emit('SIGINT');
    await expect(running).rejects.toThrow(new CliError('Stopped. Whole shards are kept: repeat the command to continue.', { exitCode: 130 }));
    expect(process.listenerCount('SIGINT')).toBe(listeners);
    expect(readdirSync(folder)).toEqual(['unfinished.json']);
    expect(() => openStore(folder, 'train')).toThrow('holds no prepared data');
    await prepare({ train: 2 });
    expect(existsSync(join(folder, 'unfinished.json'))).toBe(false);
    openStore(folder, 'train').dispose();
  });

  it('does not mix the shards of a stopped run with those of another seed', async () => {
    await prepare();
    writeFileSync(join(folder, 'unfinished.json'), read('manifest.json'));
    const names = readdirSync(folder);
    await expect(prepare({ seed: 2 })).rejects.toThrow(
      new CliError(
        `${folder} holds picture-book of seed 1 at 64 px, asked for seed 2 at 64 px. Choose another folder with --run, or remove this one.`,
      ),
    );
    expect(readdirSync(folder)).toEqual(names);
  });
});

import { setupBackend } from '@sgdiff/test-kit';
import { encode } from 'fast-png';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodePicture, readRecord } from '../png';
import { runCommand, runJson } from '../testing/run-command';
import { temporaryFolder } from '../testing/temporary-folder';
import { writeTinyModel } from '../testing/tiny-model';
import { readOwnImage } from './own-image';

// Each command is a process of its own; on a busy machine it may have to wait long for its turn.
const TIMEOUT = 300_000;

const folder = temporaryFolder();

function written(name: string, channels: 1 | 3 | 4, data: Uint8Array | Uint16Array): string {
  const path = join(folder, name);
  writeFileSync(path, encode({ width: 2, height: 1, channels, depth: data instanceof Uint16Array ? 16 : 8, data }));
  return path;
}

describe('readOwnImage', () => {
  it('reads RGB, and RGB with alpha, which is left out', () => {
    const want = { width: 2, height: 1, pixels: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    expect(readOwnImage(written('rgb.png', 3, Uint8Array.of(1, 2, 3, 4, 5, 6)))).toEqual(want);
    expect(readOwnImage(written('rgba.png', 4, Uint8Array.of(1, 2, 3, 9, 4, 5, 6, 0)))).toEqual(want);
  });

  it('says what it cannot read', () => {
    const gray = written('gray.png', 1, Uint8Array.of(1, 2));
    expect(() => readOwnImage(gray)).toThrow(`The picture ${gray}: expected 8 bit RGB, received 8 bit and 1 channel. Convert it.`);
    const deep = written('deep.png', 3, Uint16Array.of(1, 2, 3, 4, 5, 6));
    expect(() => readOwnImage(deep)).toThrow(`The picture ${deep}: expected 8 bit RGB, received 16 bit and 3 channels. Convert it.`);
    const none = join(folder, 'none.png');
    expect(() => readOwnImage(none)).toThrow(`The picture ${none} does not exist. Check the path.`);
    const text = join(folder, 'text.png');
    writeFileSync(text, 'text');
    expect(() => readOwnImage(text)).toThrow(`The picture ${text} could not be read: `);
  });
});

describe('edit --graph', () => {
  const GRAPH = ['--graph', 'sheep standing on grass'];
  const CHANGE = ['--change', '+ sky above grass'];
  const COMMON = ['--model', 'model', '--backend', 'cpu'];
  const at = (name: string): string => join(folder, name);
  const record = {
    format: 1,
    graph: { objects: ['sheep', 'grass'], relationships: [[0, 'standing on', 1]] },
    model: { name: 'tiny', sha256: '0'.repeat(64) },
    ...{ seed: 1, sampler: 'ddim', steps: 1, guidanceScale: 1, eta: 0, backend: 'cpu', versions: {} },
  };
  const own = encodePicture({ width: 8, height: 8, data: Uint8Array.from({ length: 192 }, (_, i) => (i * 37) % 256) });

  beforeAll(async () => {
    await setupBackend('cpu');
    await writeTinyModel(at('model'));
    writeFileSync(at('mine.png'), own);
  }, TIMEOUT);

  it(
    'takes the settings that generate takes',
    async () => {
      const settings = ['--seed', '5', '--steps', '3', '--sampler', 'ddim', '--guidance', '2', '--eta', '0.5', '--sigmas', 'karras'];
      const result = await runJson(folder, ['edit', 'mine.png', ...GRAPH, ...CHANGE, ...COMMON, ...settings, '--out', 'set.png']);
      expect(result).toMatchObject({ images: [{ path: at('set.png'), seed: 5 }] });
      const set = { seed: 5, steps: 3, sampler: 'ddim', guidanceScale: 2, eta: 0.5, sigmas: 'karras' };
      expect(readRecord(readFileSync(at('set.png')))).toMatchObject(set);
      await runJson(folder, ['edit', 'mine.png', ...GRAPH, ...CHANGE, ...COMMON, '--steps', '2', '--spacing', 'leading', '--out', 'plain.png']);
      expect(readRecord(readFileSync(at('plain.png')))).toMatchObject({ seed: 0, steps: 2, spacing: 'leading' });
    },
    TIMEOUT,
  );

  it.each<[name: string, args: readonly string[], out: string]>([
    ['itself', ['mine.png', ...GRAPH], 'mine.png'],
    ['by another spelling', ['mine.png', ...GRAPH], 'model/../mine.png'],
    ['by a link', ['mine.png', ...GRAPH], 'link.png'],
    ['named by a link', ['link.png', ...GRAPH], 'mine.png'],
    ['with a record of its own', ['drawn.png', ...GRAPH], 'drawn.png'],
    ['given to an edited one', ['edited.json', '--image', 'mine.png'], 'mine.png'],
    ['with a record of its own, given to an edited one', ['edited.json', '--image', 'drawn.png'], 'drawn.png'],
  ])(
    'does not write over the picture it starts from, which is needed again: %s',
    async (_name, args, out) => {
      if (!existsSync(at('link.png'))) symlinkSync(at('mine.png'), at('link.png'));
      writeFileSync(at('drawn.png'), encodePicture({ width: 8, height: 8, data: new Uint8Array(192) }, record));
      writeFileSync(at('edited.json'), JSON.stringify({ ...record, image: '0'.repeat(64) }));
      const needed = args.includes('--image') ? args[2] : args[0];
      const before = readFileSync(at(needed));
      const { code, stdout, stderr } = await runCommand(folder, ['edit', ...args, ...CHANGE, ...COMMON, '--out', out]);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toBe(
        `sgdiff: The picture would overwrite ${at(out)}: expected another file than ${at(needed)}, which is needed to draw the new picture again, ` +
          'received the same one. Choose another place with --out.\n',
      );
      expect(readFileSync(at(needed))).toEqual(before);
    },
    TIMEOUT,
  );

  it(
    'generate --replay does not write over it either',
    async () => {
      writeFileSync(at('edited-replay.png'), encodePicture({ width: 8, height: 8, data: new Uint8Array(192) }, record));
      writeFileSync(at('edited.json'), JSON.stringify({ ...record, image: '0'.repeat(64) }));
      const args = ['generate', 'edited.json', '--replay', '--image', 'edited-replay.png', ...COMMON, '--out', '.'];
      const { code, stderr } = await runCommand(folder, args);
      expect(code).toBe(1);
      const path = at('edited-replay.png');
      expect(stderr).toContain(`sgdiff: The picture would overwrite ${path}: expected another file than ${path}, which is needed`);
    },
    TIMEOUT,
  );
});

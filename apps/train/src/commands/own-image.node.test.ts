import { encode } from 'fast-png';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readOwnImage } from './own-image';

const folder = mkdtempSync(join(tmpdir(), 'sgdiff-own-image-'));
afterAll(() => rmSync(folder, { recursive: true }));

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

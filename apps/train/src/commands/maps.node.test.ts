import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Picture } from '@sgdiff/pipeline';
import { setupBackend } from '@sgdiff/test-kit';
import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { readRecord } from '../png';
import { runJson } from '../testing/run-command';
import { temporaryFolder } from '../testing/temporary-folder';
import { writeTinyModel } from '../testing/tiny-model';
import { writeMaps } from './maps';

const folder = temporaryFolder();

/** 4 × 4 px of white. */
function picture(objects: string[], maps: NonNullable<Picture['maps']>): Picture {
  return {
    width: 4,
    height: 4,
    pixels: new Uint8Array(48).fill(255),
    withoutToken: [],
    maps,
    record: { graph: { objects, relationships: [[0, 'behind', 1]] } } as unknown as Picture['record'],
  };
}
const peakAt = (at: number, share = 0.5): Float32Array => new Float32Array(16).fill(0.1).fill(share, at, at + 1);

describe('writeMaps', () => {
  it('writes the picture and a tile for each map, brightest where it is largest', () => {
    const flat = new Float32Array(16).fill(0.2);
    const maps = { objects: [peakAt(6), null], relationships: [flat] };
    const { path, tiles } = writeMaps(join(folder, 'two.png'), picture(['sheep', 'sheep'], maps));
    expect(path).toBe(join(folder, 'two-maps.png'));
    expect(tiles).toEqual([
      { tile: 1, object: 0, words: 'sheep', peak: { x: 0.625, y: 0.375, share: 0.5 }, mean: expect.closeTo(0.125, 6) },
      { tile: 2, relation: 0, words: 'sheep behind sheep 2', peak: { x: 0.125, y: 0.125, share: expect.closeTo(0.2, 6) }, mean: expect.closeTo(0.2, 6) },
    ]);
    const png = readFileSync(path);
    expect(readRecord(png)).toEqual({ picture: expect.anything(), tiles: JSON.parse(JSON.stringify(tiles)) });
    const { width, height, data } = decode(png);
    expect([width, height]).toEqual([3 * (192 + 6) + 6, 192 + 4 + 10 + 2 * 6]);
    const colour = (tile: number, x: number, y: number): number[] => {
      const at = ((6 + y * 48 + 24) * width + 6 + tile * 198 + x * 48 + 24) * 3;
      return [...data.slice(at, at + 3)] as number[];
    };
    expect(colour(0, 2, 1)).toEqual([255, 255, 255]);
    expect(colour(1, 2, 1)).toEqual([255, 180, 114]);
    expect(colour(1, 0, 0)).toEqual([76, 76, 76]);
    expect(colour(2, 0, 0)).toEqual([76, 76, 76]);
  });
});

describe('generate --maps', () => {
  it('writes the same picture, and beside it the sheet, also when a picture is drawn again', async () => {
    await setupBackend('cpu');
    await writeTinyModel(join(folder, 'model'));
    const common = ['--model', 'model', '--backend', 'cpu', '--steps', '2'];
    const draw = ['generate', 'sheep standing on grass', ...common];
    await runJson(folder, [...draw, '--out', 'plain']);
    const { images } = (await runJson(folder, [...draw, '--out', 'drawn', '--maps'])) as { images: { path: string; maps: { path: string; tiles: object[] } }[] };
    const [{ path, maps }] = images;
    expect(readFileSync(path)).toEqual(readFileSync(join(folder, 'plain/picture.png')));
    expect(maps.path).toBe(path.replace('.png', '-maps.png'));
    expect(maps.tiles).toMatchObject([{ words: 'sheep' }, { words: 'grass' }, { words: 'sheep standing on grass' }]);
    const again = ['generate', 'drawn/picture.png', '--replay', '--maps', '--out', 'drawn', '--model', 'model', '--backend', 'cpu'];
    const repeated = (await runJson(folder, again)) as { images: { maps: { path: string; tiles: object[] } }[] };
    expect(repeated.images[0].maps.tiles).toEqual(maps.tiles);
    expect(readFileSync(repeated.images[0].maps.path)).toEqual(readFileSync(maps.path));
  }, 120_000);
});

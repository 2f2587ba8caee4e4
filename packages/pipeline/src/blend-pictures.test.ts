import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blendPictures } from './blend-pictures';

const SIDE = 8; // of 4 × 4 cells: 2 × 2 px each
const flat = (value: number): Uint8Array => new Uint8Array(SIDE * SIDE * 3).fill(value);
const noisy = (seed: number): Uint8Array =>
  Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (i * 37 + seed * 101) % 256);
const regions = fc
  .array(fc.constantFrom(0, 8 / 15, 1), { minLength: 16, maxLength: 16 })
  .map((cells) => Float32Array.from(cells));

describe('blendPictures', () => {
  it('fades from the old picture to the new one within the cells of the region, and not beyond', () => {
    // A column of cells each: kept, fading, new, new.
    const region = Float32Array.from({ length: 16 }, (_, i) => [0, 0.5, 1, 1][i % 4]);
    const [, picture] = blendPictures([flat(0), flat(200)], [undefined, region], [4, 4], SIDE);
    const row = Array.from({ length: SIDE }, (_, x) => picture[3 * (3 * SIDE + x)]);
    expect(row).toEqual([0, 0, 25, 75, 125, 175, 200, 200]);
  });

  it('keeps the bytes of the old picture wherever a cell is 0, and takes the new ones where all around are 1', () => {
    fc.assert(
      fc.property(regions, (region) => {
        const [old, picture] = blendPictures([noisy(1), noisy(2)], [undefined, region], [4, 4], SIDE);
        for (let at = 0; at < picture.length; at++) {
          const pixel = Math.floor(at / 3);
          const cell = Math.floor(pixel / SIDE / 2) * 4 + Math.floor((pixel % SIDE) / 2);
          if (region[cell] === 0) expect(picture[at]).toBe(old[at]);
          const [least, most] = [old[at], noisy(2)[at]].sort((a, b) => a - b);
          expect(picture[at] >= least && picture[at] <= most).toBe(true);
        }
        const [, full] = blendPictures([noisy(1), noisy(2)], [undefined, new Float32Array(16).fill(1)], [4, 4], SIDE);
        expect(full).toEqual(noisy(2));
      }),
    );
  });

  it('lays edits over each other, over the given original, and changes none of what it is given', () => {
    const left = Float32Array.from({ length: 16 }, (_, i) => Number(i % 4 < 2));
    const top = Float32Array.from({ length: 16 }, (_, i) => Number(i < 8));
    const given = [flat(10), flat(110), flat(210)];
    const original = flat(60);
    const [first, second, third] = blendPictures(given, [undefined, left, top], [4, 4], SIDE, original);
    const at = (picture: Uint8Array, x: number, y: number): number => picture[3 * (y * SIDE + x)];
    expect(first).toEqual(original);
    expect(first).not.toBe(original);
    expect([at(second, 0, 7), at(second, 7, 7)]).toEqual([110, 60]);
    expect([at(third, 0, 0), at(third, 7, 0), at(third, 0, 7), at(third, 7, 7)]).toEqual([210, 210, 110, 60]);
    expect(given).toEqual([flat(10), flat(110), flat(210)]);
    expect(original).toEqual(flat(60));
  });
});

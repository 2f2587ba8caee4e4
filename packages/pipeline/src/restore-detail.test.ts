import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { restoreDetail } from './restore-detail';

const SIDE = 8; // of 4 × 4 cells: 2 × 2 px each
const flat = (value: number): Uint8Array => new Uint8Array(SIDE * SIDE * 3).fill(value);
const bytes = fc.uint8Array({ minLength: SIDE * SIDE * 3, maxLength: SIDE * SIDE * 3 });
const regions = fc
  .array(fc.constantFrom(0, 8 / 15, 1), { minLength: 16, maxLength: 16 })
  .map((cells) => Float32Array.from(cells));

describe('restoreDetail', () => {
  it('puts back what was lost outside the region, and fades it out around it', () => {
    // A column of cells each: kept, kept, fading, new.
    const region = Float32Array.from({ length: 16 }, (_, i) => [0, 0, 0.5, 1][i % 4]);
    const [first, second] = restoreDetail([flat(100), flat(50)], [undefined, region], [4, 4], SIDE, flat(180));
    expect(first).toEqual(flat(180));
    const row = Array.from({ length: SIDE }, (_, x) => second[3 * (3 * SIDE + x)]);
    expect(row).toEqual([130, 130, 120, 100, 80, 60, 50, 50]); // 50 + 80 · (1 - [0, 0, 1/8, 3/8, 5/8, 7/8, 1, 1])
  });

  it('gives the original to the byte where nothing else was decoded and no region is near, and leaves alone what was drawn', () => {
    fc.assert(
      fc.property(regions, bytes, bytes, bytes, (region, original, decoded, drawn) => {
        const [first, second] = restoreDetail([decoded, decoded], [undefined, region], [4, 4], SIDE, original);
        const [, edited] = restoreDetail([decoded, drawn], [undefined, region], [4, 4], SIDE, original);
        expect(first).toEqual(original);
        for (let at = 0; at < original.length; at++) {
          const [y, x] = [Math.floor(at / 3 / SIDE / 2), Math.floor((Math.floor(at / 3) % SIDE) / 2)];
          const around = [-1, 0, 1].flatMap((i) =>
            [-1, 0, 1].map((j) => (y + i < 0 || y + i > 3 || x + j < 0 || x + j > 3 ? 0 : region[4 * (y + i) + x + j])),
          );
          if (Math.max(...around) === 0) expect(second[at]).toBe(original[at]);
          if (region[4 * y + x] === 1) expect(edited[at]).toBe(drawn[at]);
        }
      }),
    );
  });

  it('never puts back what an earlier edit drew over, and changes none of what it is given', () => {
    const left = Float32Array.from({ length: 16 }, (_, i) => Number(i % 4 < 2));
    const given = [flat(100), flat(120), flat(140)];
    const original = flat(110);
    const nothing = new Float32Array(16);
    const [, second, third] = restoreDetail(given, [undefined, left, nothing], [4, 4], SIDE, original);
    const at = (picture: Uint8Array, x: number): number => picture[3 * (3 * SIDE + x)];
    expect([at(second, 0), at(second, 7)]).toEqual([120, 130]);
    expect([at(third, 0), at(third, 7)]).toEqual([140, 150]);
    expect(given).toEqual([flat(100), flat(120), flat(140)]);
    expect(original).toEqual(flat(110));
  });
});

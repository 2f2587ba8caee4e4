import { decode } from 'fast-png';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePicture, readRecord, tile, toBytes, toPictures, type Picture } from './png';

const picture: Picture = { width: 2, height: 1, data: Uint8Array.of(1, 2, 3, 250, 251, 252) };

describe('encodePicture', () => {
  it('keeps every pixel', () => {
    const { width, height, channels, depth, data } = decode(encodePicture(picture));
    expect({ width, height, channels, depth }).toEqual({ width: 2, height: 1, channels: 3, depth: 8 });
    expect([...data]).toEqual([...picture.data]);
  });

  it('carries a record in any script', () => {
    const record = { graph: { objects: ['mouton', 'Weiß', '绵羊', 'овца', '🐑', 'line\nbreak', '\u0000'] }, seed: 7, eta: 0 };
    expect(readRecord(encodePicture(picture, record))).toEqual(record);
  });

  it('carries any JSON value, and pixels as without it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (record) => {
        const png = encodePicture(picture, record);
        expect(JSON.stringify(readRecord(png))).toBe(JSON.stringify(record));
        expect([...decode(png).data]).toEqual([...picture.data]);
      }),
      { numRuns: 30 },
    );
  });

  it('writes the record in ASCII, so that any reader shows it', () => {
    const png = encodePicture(picture, { objects: ['Weiß', '🐑'] });
    const text = Buffer.from(png).toString('latin1');
    expect(text).toContain('tEXtsgdiff\u0000{"objects":["Wei\\u00df","\\ud83d\\udc11"]}');
  });

  it('has no record unless one is given', () => {
    expect(readRecord(encodePicture(picture))).toBeUndefined();
  });
});

describe('tile', () => {
  const cell = (value: number): Picture => ({ width: 1, height: 1, data: new Uint8Array(3).fill(value) });
  const firstChannel = ({ width, data }: Picture): number[][] => {
    const values = [...data].filter((_, i) => i % 3 === 0);
    return Array.from({ length: values.length / width }, (_, y) => values.slice(y * width, (y + 1) * width));
  };

  it('sets pictures in rows with white around each', () => {
    expect(firstChannel(tile([cell(1), cell(2), cell(3)], 2, { gap: 1 }))).toEqual([
      [255, 255, 255, 255, 255],
      [255, 1, 255, 2, 255],
      [255, 255, 255, 255, 255],
      [255, 3, 255, 255, 255],
      [255, 255, 255, 255, 255],
    ]);
  });

  it('repeats pixels when it zooms', () => {
    const wide: Picture = { width: 2, height: 1, data: Uint8Array.of(1, 1, 1, 2, 2, 2) };
    expect(firstChannel(tile([wide], 1, { gap: 0, zoom: 2 }))).toEqual([
      [1, 1, 2, 2],
      [1, 1, 2, 2],
    ]);
  });

  it('has sides as large as its cells and gaps', () => {
    const { width, height, data } = tile(Array.from({ length: 7 }, () => cell(0)), 4, { gap: 3, zoom: 5 });
    expect([width, height, data.length]).toEqual([4 * 8 + 3, 2 * 8 + 3, 35 * 19 * 3]);
  });
});

describe('pixels', () => {
  it('go from [-1, 1] to bytes, and what lies outside to the nearest', () => {
    expect([...toBytes(Float32Array.of(-1, 0, 1, -7, 7, 2 / 255 - 1))]).toEqual([0, 128, 255, 0, 255, 1]);
  });

  it('are cut into the pictures of the batch', () => {
    const pictures = toPictures(Float32Array.from({ length: 12 }, (_, i) => (i < 6 ? -1 : 1)), 2, 1, 2);
    expect(pictures).toEqual([
      { width: 2, height: 1, data: new Uint8Array(6) },
      { width: 2, height: 1, data: new Uint8Array(6).fill(255) },
    ]);
  });
});

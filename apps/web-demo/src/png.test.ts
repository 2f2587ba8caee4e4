import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { encodePng, RECORD_KEYWORD } from './png';

describe('encodePng', () => {
  it('keeps every pixel, and the record as ASCII JSON', async () => {
    const data = Uint8Array.from({ length: 2 * 3 * 3 }, (_, i) => i * 14);
    const record = { format: 1, graph: { objects: ['Bär → 羊'] }, seed: 3 };
    const png = decode(await encodePng({ width: 2, height: 3, data }, record));
    expect(png).toMatchObject({ width: 2, height: 3, channels: 3, depth: 8 });
    expect([...png.data]).toEqual([...data]);
    const text = png.text[RECORD_KEYWORD]!;
    expect(text).toMatch(/^[\x20-\x7e]+$/);
    expect(JSON.parse(text)).toEqual(record);
  });
});

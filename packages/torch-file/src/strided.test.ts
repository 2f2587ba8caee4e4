import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { elementCount, readStrided, storageEnd, type StridedLayout } from './strided';

const LIMIT = 1024 * 1024;

/** Element by element, as the definition says. */
function plain({ shape, strides, offset, elementBytes }: StridedLayout, storage: Uint8Array): Uint8Array {
  const count = elementCount(shape);
  const out = new Uint8Array(count * elementBytes);
  for (let i = 0; i < count; i++) {
    let rest = i;
    let at = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += (rest % shape[axis]!) * strides[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    out.set(storage.subarray(at * elementBytes, (at + 1) * elementBytes), i * elementBytes);
  }
  return out;
}

function storageOf(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (i * 167 + (i >> 8) * 13) & 0xff);
}

const elementBytes = fc.constantFrom(1, 2, 4, 8);

/** A permuted, sliced and stepped part of a larger tensor. */
const view = fc
  .tuple(
    fc.array(
      fc.record({
        size: fc.integer({ min: 1, max: 5 }),
        step: fc.integer({ min: 1, max: 3 }),
        margin: fc.integer({ min: 0, max: 2 }),
      }),
      { maxLength: 4 },
    ),
    fc.integer({ min: 0, max: 5 }),
    elementBytes,
    fc.infiniteStream(fc.nat()),
  )
  .map(([axes, offset, bytes, order]): StridedLayout => {
    let stride = 1;
    const all = axes.map(({ size, step, margin }) => {
      const axis = { size, stride: stride * step };
      stride *= size * step + margin;
      return axis;
    });
    const shuffled = all.map((axis) => ({ axis, key: order.next().value })).sort((a, b) => a.key - b.key);
    return {
      shape: shuffled.map(({ axis }) => axis.size),
      strides: shuffled.map(({ axis }) => axis.stride),
      offset,
      elementBytes: bytes,
    };
  });

/** Any strides at all, also such that show elements again and again. */
const wild = fc
  .tuple(
    fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 9 })), { maxLength: 4 }),
    fc.nat(5),
    elementBytes,
  )
  .map(([axes, offset, bytes]): StridedLayout => ({
    shape: axes.map(([n]) => n),
    strides: axes.map(([, s]) => s),
    offset,
    elementBytes: bytes,
  }));

describe('readStrided', () => {
  it('gives the elements that the definition names, for views and for wild strides', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(view, wild), async (layout) => {
        const storage = storageOf(storageEnd(layout) * layout.elementBytes);
        const read = async (offset: number, length: number): Promise<Uint8Array> => {
          expect(offset + length).toBeLessThanOrEqual(storage.length);
          // Now and then on an odd address, as a slice of something larger would be.
          return new Uint8Array(storage.subarray(offset, offset + length)).subarray();
        };
        expect(await readStrided(layout, read, LIMIT)).toEqual(plain(layout, storage));
      }),
      { numRuns: 1000 },
    );
  });

  it('takes bytes that lie at an odd address', async () => {
    const layout = { shape: [3, 2], strides: [1, 3], offset: 1, elementBytes: 4 };
    const storage = storageOf(28);
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      const odd = new Uint8Array(length + 1);
      odd.set(storage.subarray(offset, offset + length), 1);
      return odd.subarray(1);
    };
    expect(await readStrided(layout, read, LIMIT)).toEqual(plain(layout, storage));
  });

  it('reads what is contiguous at once, and only that', async () => {
    const reads: number[][] = [];
    await readStrided(
      { shape: [5, 1, 4], strides: [4, 99, 1], offset: 7, elementBytes: 2 },
      async (...range) => {
        reads.push(range);
        return new Uint8Array(range[1]);
      },
      LIMIT,
    );
    expect(reads).toEqual([[14, 40]]);
  });

  it('passes a large storage in windows, each byte once', async () => {
    const rows = 3000;
    const columns = 4000; // 48 MB of float32
    const layout = { shape: [columns, rows], strides: [1, columns], offset: 0, elementBytes: 4 };
    const reads: number[][] = [];
    const bytes = await readStrided(
      layout,
      async (offset, length) => {
        reads.push([offset, length]);
        return new Uint8Array(Float32Array.from({ length: length / 4 }, (_, i) => offset / 4 + i).buffer);
      },
      0,
    );
    expect(reads.length).toBeGreaterThan(3);
    expect(Math.max(...reads.map(([, length]) => length!))).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect(reads.reduce((sum, [, length]) => sum + length!, 0)).toBe(rows * columns * 4);
    const values = new Float32Array(bytes.buffer);
    for (const [row, column] of [
      [0, 0],
      [1, 0],
      [2999, 3999],
      [1234, 2345],
    ] as const) {
      expect(values[column * rows + row]).toBe(row * columns + column);
    }
  });

  it('refuses to repeat a few elements into a huge tensor', async () => {
    const read = async (): Promise<Uint8Array> => new Uint8Array(4);
    await expect(
      readStrided({ shape: [1e6, 1e6], strides: [0, 0], offset: 0, elementBytes: 4 }, read, LIMIT),
    ).rejects.toMatchObject({
      code: 'too_large',
      message:
        'repeats elements of its storage and has 4000000000000 bytes, more than maxRepeatedBytes = 1048576. Save a contiguous copy of it.',
    });
  });
});

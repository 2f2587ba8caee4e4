import { describe, expect, it } from 'vitest';
import { openTorchFile } from '.';
import { type Segment, segmentSource } from './testing/segments';
import { tensorCall, type TestValue } from './testing/write-pickle';
import { writeTorchLegacy, writeTorchZip } from './testing/write-torch';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Element i of such a storage is i + first, as int32; only what is read is ever made. */
function counting(elements: number, first: number): Segment {
  return {
    size: elements * 4,
    fill(target: Uint8Array, offset: number) {
      for (let i = 0; i < target.length; i++) {
        const at = offset + i;
        target[i] = (Math.floor(at / 4) + first) >>> (8 * (at % 4));
      }
    },
  };
}

const vector = (
  key: string,
  length: number,
  change: { offset?: number; shape?: number[]; strides?: number[] } = {},
): TestValue => tensorCall({ key, storage: 'IntStorage', length, shape: [length], strides: [1], ...change });

describe('openTorchFile: files beyond 4 GB', () => {
  const A = 1.25 * GIB; // elements: one storage alone is beyond 4 GB
  const entries = new Map<string, TestValue>([
    ['huge', vector('0', A)],
    ['its_end', vector('0', A, { offset: A - 3, shape: [3] })],
    ['its_columns', vector('0', A, { offset: A - 8, shape: [2, 4], strides: [1, 2] })],
    ['behind', vector('1', 4)],
  ]);

  it.each([
    ['zip (zip64)', writeTorchZip(entries, { 0: counting(A, 0), 1: counting(4, 77) })],
    [
      'legacy',
      writeTorchLegacy(entries, [
        { key: '0', count: A, data: counting(A, 0) },
        { key: '1', count: 4, data: counting(4, 77) },
      ]),
    ],
  ])('reads what lies there, and little else, in the %s form', async (_, segments) => {
    const source = segmentSource(segments);
    expect(source.size).toBeGreaterThan(5 * GIB);
    const file = await openTorchFile(source);
    const read = async (name: string): Promise<number[]> => [...new Int32Array((await file.read(name)).buffer)];
    expect(await read('its_end')).toEqual([A - 3, A - 2, A - 1]);
    expect(await read('its_columns')).toEqual([A - 8, A - 6, A - 4, A - 2, A - 7, A - 5, A - 3, A - 1]);
    expect(await read('behind')).toEqual([77, 78, 79, 80]);
    expect(file.tensors.get('huge')).toEqual({ dtype: 'I32', shape: [A] });
    expect(source.stats.total).toBeLessThan(4 * MIB);
  });

  it('has no more than the tensor at hand in memory, of a checkpoint with the sizes of SGDiff', async () => {
    // 1,600 tensors and moments of an optimiser behind them, which nobody reads.
    const names = Array.from({ length: 1600 }, (_, i) => `model.diffusion_model.block.${i}.weight`);
    const length = 500_000;
    const checkpoint = new Map<string, TestValue>([
      ['epoch', 3],
      ['state_dict', new Map(names.map((name, i) => [name, vector(String(i), length)]))],
    ]);
    const zeros: Segment = { size: length * 4, fill: () => undefined };
    const source = segmentSource(
      writeTorchZip(checkpoint, Object.fromEntries(names.map((_, i) => [String(i), zeros]))),
    );
    expect(source.size).toBeGreaterThan(3.2e9);
    const before = process.memoryUsage().rss;
    const file = await openTorchFile(source);
    expect(file.tensors.size).toBe(1600);
    expect(source.stats.total).toBeLessThan(4 * MIB);
    for (const name of names.slice(0, 100)) await file.read(name);
    expect(source.stats.largest).toBe(length * 4);
    expect(process.memoryUsage().rss - before).toBeLessThan(250 * MIB);
  });
});

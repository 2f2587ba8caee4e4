import { fromFloat16, toFloat16, type StoredDtype } from '@sgdiff/nn';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlannedTensor } from './import-plan';
import { readTensor, tensorBytes } from './read-tensor';
import { stateDict } from './testing/state-dict';

const planned = (shape: readonly number[], source: Partial<PlannedTensor['source']> = {}): PlannedTensor => ({
  path: 'ours.weight',
  shape,
  source: { name: 'theirs.weight', layout: 'same', ...source },
});

function fileOf(dtype: StoredDtype, data: ArrayBufferView, shape: readonly number[]) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return stateDict({ 'theirs.weight': { dtype, shape, bytes } });
}

describe('readTensor', () => {
  it.each<[StoredDtype, ArrayBufferView]>([
    ['F32', Float32Array.of(1.5, -2, 0, 3)],
    ['F64', Float64Array.of(1.5, -2, 0, 3)],
    ['F16', toFloat16(Float32Array.of(1.5, -2, 0, 3))],
    ['BF16', Uint16Array.of(0x3fc0, 0xc000, 0, 0x4040)],
  ])('gives float32 of %s', async (dtype, data) => {
    expect(await readTensor(fileOf(dtype, data, [4]), planned([4]))).toEqual(Float32Array.of(1.5, -2, 0, 3));
  });

  it.each<[StoredDtype, ArrayBufferView]>([
    ['I64', BigInt64Array.of(3n, -1n)],
    ['I32', Int32Array.of(3, -1)],
    ['I16', Int16Array.of(3, -1)],
    ['I8', Int8Array.of(3, -1)],
  ])('gives float32 of %s', async (dtype, data) => {
    expect(await readTensor(fileOf(dtype, data, [2]), planned([2]))).toEqual(Float32Array.of(3, -1));
  });

  it('gives float32 of bytes and booleans', async () => {
    for (const dtype of ['U8', 'BOOL'] as const) {
      expect(await readTensor(fileOf(dtype, Uint8Array.of(1, 0), [2]), planned([2]))).toEqual(Float32Array.of(1, 0));
    }
  });

  it('reads a scalar', async () => {
    expect(await readTensor(fileOf('F32', Float32Array.of(2.6593), []), planned([]))).toEqual(Float32Array.of(2.6593));
  });

  it('reads bytes that stand at any place of a buffer', async () => {
    const buffer = new Uint8Array(13);
    buffer.set(new Uint8Array(Float32Array.of(7, 8).buffer), 5);
    const file = fileOf('F32', buffer.subarray(5), [2]);
    expect(await readTensor(file, planned([2]))).toEqual(Float32Array.of(7, 8));
    const nodeBuffer = fileOf('F32', Buffer.from(buffer.buffer, 5, 8), [2]); // its slice is a view
    expect(await readTensor(nodeBuffer, planned([2]))).toEqual(Float32Array.of(7, 8));
  });

  it('turns a linear layer and a convolution into our layout', async () => {
    const linear = fileOf('F32', Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]); // [out 2, in 3]
    expect(await readTensor(linear, planned([3, 2], { layout: 'linear' }))).toEqual(Float32Array.of(1, 4, 2, 5, 3, 6));
    // [out 2, in 1, height 2, width 1]
    const conv = fileOf('F32', Float32Array.of(1, 2, 3, 4), [2, 1, 2, 1]);
    expect(await readTensor(conv, planned([2, 1, 1, 2], { layout: 'conv' }))).toEqual(Float32Array.of(1, 3, 2, 4));
  });

  it('takes the rows of a weight out of a tensor that holds several', async () => {
    const file = fileOf(
      'F32',
      Float32Array.from({ length: 12 }, (_, i) => i),
      [6, 2],
    ); // three weights of [out 2, in 2]
    const values = await readTensor(file, planned([2, 2], { layout: 'linear', rows: [2, 4] }));
    expect(values).toEqual(Float32Array.of(4, 6, 5, 7));
    const bias = fileOf('F32', Float32Array.of(0, 1, 2, 3, 4, 5), [6]);
    expect(await readTensor(bias, planned([2], { rows: [4, 6] }))).toEqual(Float32Array.of(4, 5));
  });

  it.each([NaN, Infinity, -Infinity])('refuses %s with the name of the tensor', async (bad) => {
    const file = fileOf('F32', Float32Array.of(0, bad), [2]);
    await expect(readTensor(file, planned([2]))).rejects.toThrow(
      `weights.pt: "theirs.weight" (here "ours.weight") holds ${bad} at 1, expected finite numbers. ` +
        'The weights are damaged, or training had failed: take another checkpoint.',
    );
  });

  it('does not mind numbers that are not finite in rows of another weight', async () => {
    const file = fileOf('F32', Float32Array.of(NaN, 1), [2]);
    expect(await readTensor(file, planned([1], { rows: [1, 2] }))).toEqual(Float32Array.of(1));
  });
});

describe('tensorBytes', () => {
  it('keeps float32 to the bit and rounds to the nearest half', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -65000, max: 65000, noNaN: true })), (numbers) => {
        const values = Float32Array.from(numbers);
        expect(new Float32Array(tensorBytes(values, 'fp32', 'w').slice().buffer)).toEqual(values);
        const halves = fromFloat16(new Uint16Array(tensorBytes(values, 'fp16', 'w').slice().buffer));
        values.forEach((value, i) =>
          expect(Math.abs(halves[i]! - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -11, 2 ** -25)),
        );
      }),
    );
  });

  it('refuses numbers that half precision does not reach', () => {
    expect(() => tensorBytes(Float32Array.of(1, -70000), 'fp16', 'out.conv.weight')).toThrow(
      '"out.conv.weight" holds -70000 at 1, but half precision ends at 65504. Import with --precision fp32.',
    );
    expect(tensorBytes(Float32Array.of(-70000), 'fp32', 'w')).toHaveLength(4);
  });
});

import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import {
  CheckpointError,
  decodeSafetensors,
  encodeSafetensors,
  fromFloat16,
  paramsFromSafetensors,
  paramsToSafetensors,
  restoreParams,
  type SafeTensor,
  toFloat16,
} from './index';

beforeAll(() => setupBackend('cpu'));

describe('float16', () => {
  it('rounds as numpy does, with subnormals, ties and infinities', () => {
    const { single, bits } = readGolden<{ single: number[]; bits: number[] }>(
      import.meta.url,
      '../fixtures/float16.golden.json',
    );
    expect(Array.from(toFloat16(Float32Array.from(single)))).toEqual(bits);
  });

  it('comes back unchanged through float32, for all 65536 bit patterns', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const singles = fromFloat16(all);
    const back = toFloat16(singles);
    for (let i = 0; i < all.length; i++) {
      if (Number.isNaN(singles[i])) expect(back[i]! & 0x7e00).toBe(0x7e00);
      else if (back[i] !== i) expect(back[i]).toBe(i);
    }
  });
});

describe('safetensors', () => {
  it('reads what the reference library wrote', () => {
    type Golden = { base64: string; values: Record<string, { shape: number[]; data: number[] }> };
    const golden = readGolden<Golden>(import.meta.url, '../fixtures/safetensors.golden.json');
    const bytes = Uint8Array.from(Buffer.from(golden.base64, 'base64'));
    expect(decodeSafetensors(bytes).metadata).toEqual({ format: 'sgdiff', note: 'Grüße' });
    tf.tidy(() => {
      const tensors = paramsFromSafetensors(bytes);
      expect(Object.keys(tensors).sort()).toEqual(Object.keys(golden.values).sort());
      for (const [name, { shape, data }] of Object.entries(golden.values)) {
        expect(tensors[name]!.shape).toEqual(shape);
        expect(Array.from(tensors[name]!.dataSync())).toEqual(data);
      }
      expect(tensors.ids!.dtype).toBe('int32');
    });
  });

  it('decodes what it encoded, to the byte, from any offset in a buffer', () => {
    const tensor = fc.oneof(
      fc.float32Array({ maxLength: 6 }).map((data): SafeTensor => ({ dtype: 'F32', shape: [data.length], data })),
      fc.uint16Array({ maxLength: 6 }).map((data): SafeTensor => ({ dtype: 'F16', shape: [1, data.length], data })),
      fc.int32Array({ maxLength: 6 }).map((data): SafeTensor => ({ dtype: 'I32', shape: [data.length, 1], data })),
    );
    const names = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => !name.startsWith('__'));
    fc.assert(
      fc.property(
        fc.dictionary(names, tensor, { maxKeys: 4 }),
        fc.dictionary(names, fc.string()),
        fc.nat(3),
        (tensors, metadata, offset) => {
          const bytes = encodeSafetensors(tensors, metadata);
          const moved = new Uint8Array(bytes.length + offset);
          moved.set(bytes, offset);
          const back = decodeSafetensors(moved.subarray(offset));
          expect({ ...back.tensors }).toEqual({ ...tensors });
          expect({ ...back.metadata }).toEqual({ ...metadata });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('carries a tree of weights, in half precision within half a unit of the last place', async () => {
    const tree = { a: tf.tensor2d([0.1, -2, 3e-5, 70, 0, 1], [2, 3]), list: [tf.scalar(3, 'int32')] };
    await expectNoLeak(async () => {
      for (const dtype of ['F32', 'F16'] as const) {
        const bytes = await paramsToSafetensors(tree, { dtype, metadata: { step: '7' } });
        expect(decodeSafetensors(bytes).metadata).toEqual({ step: '7' });
        const loaded = paramsFromSafetensors(bytes);
        const back = restoreParams(tree, loaded);
        expect(back.a).toBeAllClose(tree.a, {
          rtol: dtype === 'F32' ? 0 : 2 ** -11,
          atol: dtype === 'F32' ? 0 : 2 ** -25,
        });
        expect(back.list[0]!.dtype).toBe('int32');
        tf.dispose([loaded, back]);
      }
    });
    tf.dispose(tree);
  });

  it('refuses bytes that are cut off, of another format, or of another type', () => {
    const bytes = encodeSafetensors({ w: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } });
    const message = (broken: Uint8Array): string => {
      try {
        decodeSafetensors(broken);
      } catch (error) {
        expect(error).toBeInstanceOf(CheckpointError);
        expect((error as CheckpointError).details.code).toBe('format');
        return (error as CheckpointError).message;
      }
      return 'accepted';
    };
    expect(message(bytes.subarray(0, bytes.length - 4))).toBe(
      'decodeSafetensors: "w" of shape [2] expected 8 bytes at [0, 8], the file holds 4. Is it cut off?',
    );
    expect(message(bytes.subarray(0, 3))).toBe('decodeSafetensors: expected at least 8 bytes, received 3.');
    expect(message(bytes.subarray(0, 20))).toMatch(
      /the header says \d+ bytes but the file has 20\. Is it cut off, or another format\?$/,
    );
    expect(message(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 91, 93))).toBe(
      'decodeSafetensors: expected a JSON object as header. Is the file of another format?',
    );
    const other = new TextDecoder('latin1').decode(bytes).replace('"F32"', '"F64"');
    expect(message(Uint8Array.from(other, (c) => c.charCodeAt(0)))).toBe(
      'decodeSafetensors: "w" has type F64, expected F32, F16 or I32. Convert it first.',
    );
    expect(() => encodeSafetensors({ w: { dtype: 'F32', shape: [3], data: Float32Array.of(1, 2) } })).toThrow(
      'encodeSafetensors: "w" has 2 values, expected [3].',
    );
  });

  it('takes any name, and no other type than a name of one', () => {
    const odd = Object.create(null) as Record<string, SafeTensor>;
    odd['__proto__'] = { dtype: 'F32', shape: [1], data: Float32Array.of(5) };
    const bytes = encodeSafetensors(odd);
    const { tensors } = decodeSafetensors(bytes);
    expect(Object.keys(tensors)).toEqual(['__proto__']);
    expect(() => restoreParams({}, paramsFromSafetensors(bytes))).toThrow('unexpected: "__proto__"');
    const text = '{"w":{"dtype":{"toString":1,"valueOf":1},"shape":[1],"data_offsets":[0,4]}}';
    const file = new Uint8Array(8 + text.length + 4);
    new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
    file.set(new TextEncoder().encode(text), 8);
    expect(() => decodeSafetensors(file)).toThrow(
      'decodeSafetensors: "w" has type {"toString":1,"valueOf":1}, expected F32, F16 or I32. Convert it first.',
    );
    expect(() => decodeSafetensors(Uint8Array.of(...bytes, 0))).toThrow(
      'decodeSafetensors: expected the file to end after its last tensor, but it goes on. Is it damaged?',
    );
  });

  it('never reads beyond its bytes, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(40), (tail, size) => {
        const bytes = new Uint8Array(8 + tail.length);
        bytes[0] = size;
        bytes.set(tail, 8);
        try {
          decodeSafetensors(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
    );
  });
});

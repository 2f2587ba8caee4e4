import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CheckpointError,
  decodeSafetensors,
  encodeSafetensors,
  encodeSafetensorsHeader,
  openSafetensors,
  streamSafetensors,
  type ByteSource,
  type SafeTensor,
} from './index';

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const inMemory = (bytes: Uint8Array): ByteSource & { closed: number } => ({
  name: 'w.safetensors',
  size: bytes.length,
  closed: 0,
  async read(offset, length) {
    return bytes.slice(offset, offset + length);
  },
  async close() {
    this.closed += 1;
  },
});

const tensor = fc.oneof(
  fc.float32Array({ maxLength: 6 }).map((data): SafeTensor => ({ dtype: 'F32', shape: [data.length], data })),
  fc.uint16Array({ maxLength: 6 }).map((data): SafeTensor => ({ dtype: 'F16', shape: [1, data.length], data })),
  fc.int32Array({ maxLength: 6 }).map((data): SafeTensor => ({ dtype: 'I32', shape: [data.length, 1], data })),
);
const tensors = fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), tensor, { maxKeys: 4 });

const example = encodeSafetensors({
  a: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) },
  b: { dtype: 'F16', shape: [1], data: Uint16Array.of(3) },
});

describe('streamSafetensors', () => {
  it('gives what decodeSafetensors gives, however the bytes are cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(tensors, fc.integer({ min: 1, max: 50 }), async (given, size) => {
        const bytes = encodeSafetensors(given, { made: 'here' });
        const whole = decodeSafetensors(bytes).tensors;
        const seen: string[] = [];
        let last = 0;
        for await (const { name, readBytes, ...streamed } of streamSafetensors(inChunks(bytes, size))) {
          seen.push(name);
          expect(streamed).toEqual(whole[name]);
          last = readBytes;
        }
        expect(seen.sort()).toEqual(Object.keys(whole).sort());
        if (seen.length > 0) expect(last).toBe(bytes.length);
      }),
    );
  });

  it('tells all tensors before it reads the first, and stops where that throws', async () => {
    let chunks = 0;
    const counted = async function* (): AsyncGenerator<Uint8Array, void, void> {
      for await (const chunk of inChunks(example, 8)) {
        chunks += 1;
        yield chunk;
      }
    };
    const read = async (): Promise<void> => {
      const refuse = (entries: readonly { name: string }[]): void => {
        throw new Error(entries.map(({ name }) => name).join());
      };
      for await (const _ of streamSafetensors(counted(), refuse)) throw new Error('read one');
    };
    await expect(read()).rejects.toThrow('a,b');
    expect(chunks * 8).toBeLessThan(example.length); // the data were not read
  });

  it('refuses a stream that is cut anywhere, or goes on', async () => {
    const read = async (bytes: Uint8Array): Promise<void> => {
      for await (const _ of streamSafetensors(inChunks(bytes, 16))) continue;
    };
    for (let length = 0; length < example.length; length++) {
      const error = await read(example.subarray(0, length)).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(CheckpointError);
    }
    await expect(read(example.subarray(0, example.length - 1))).rejects.toThrow(
      'streamSafetensors: "b" of shape [1] expected 2 bytes, the file ended after 1. Is it cut off?',
    );
    await expect(read(Uint8Array.of(...example, 0))).rejects.toThrow(
      'streamSafetensors: expected the file to end after its last tensor, but it goes on. Is it damaged?',
    );
  });

  it('allocates nothing for a header that lies about its size', async () => {
    const lie = new Uint8Array(64);
    new DataView(lie.buffer).setBigUint64(0, 9_999_999n, true);
    await expect(streamSafetensors(inChunks(lie, 64)).next()).rejects.toThrow(
      'streamSafetensors: the header says 9999999 bytes but the file has 64. Is it cut off, or another format?',
    );
    new DataView(lie.buffer).setBigUint64(0, 1n << 60n, true);
    await expect(streamSafetensors(inChunks(lie, 64)).next()).rejects.toThrow(/expected a header of at most 10000000 bytes/);
  });
});

describe('openSafetensors', () => {
  it('reads each tensor alone, of types the whole-file reader does not take', async () => {
    const header = encodeSafetensorsHeader([
      { name: 'half', dtype: 'BF16', shape: [2] },
      { name: 'long', dtype: 'I64', shape: [1, 1] },
    ]);
    const source = inMemory(Uint8Array.of(...header, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
    const file = await openSafetensors(source);
    expect([...file.tensors.keys()]).toEqual(['half', 'long']);
    expect(file.tensors.get('half')).toMatchObject({ dtype: 'BF16', shape: [2] });
    expect([...(await file.read('long'))]).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
    await expect(file.read('short')).rejects.toThrow('openSafetensors(w.safetensors): expected a tensor of the file, received "short".');
    await file.close();
    expect(source.closed).toBe(1);
  });

  it('refuses tensors that overlap or leave gaps, and closes the source', async () => {
    const text = JSON.stringify({
      a: { dtype: 'U8', shape: [2], data_offsets: [0, 2] },
      b: { dtype: 'U8', shape: [2], data_offsets: [1, 3] },
    });
    const bytes = new Uint8Array(8 + text.length + 3);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
    bytes.set(new TextEncoder().encode(text), 8);
    const source = inMemory(bytes);
    await expect(openSafetensors(source)).rejects.toThrow(
      'openSafetensors(w.safetensors): expected the bytes of "b" at 2, received 1. Is the file damaged?',
    );
    expect(source.closed).toBe(1);
  });
});

import { ARRAYS, TYPES, type SafeTensor } from './safetensors';
import { formatError, headerJsonBytes, parseSafetensorsHeader, type HeaderEntry } from './safetensors-header';

/** One tensor of a stream: its name, its values, and how many of the file's bytes have come with it. */
export type StreamedTensor = SafeTensor & { readonly name: string; readonly readBytes: number };

/**
 * The tensors of a safetensors file one after another, as its bytes come in: never more in memory than one tensor and
 * one chunk.
 *
 * @param chunks The file's bytes in order.
 * @param onHeader Called with all tensors before the first is read; what it throws ends the stream.
 * @throws CheckpointError if the stream is cut off, goes on after its last tensor, is of another format, or holds a type other
 *   than F32, F16, I32.
 * @see https://github.com/huggingface/safetensors#format
 */
export async function* streamSafetensors(
  chunks: AsyncIterable<Uint8Array>,
  onHeader: (entries: readonly HeaderEntry[]) => void = () => {},
): AsyncGenerator<StreamedTensor, void, void> {
  const where = 'streamSafetensors';
  const queue = createQueue(chunks);
  try {
    const size = headerJsonBytes(where, await queue.take(8));
    const json = await queue.take(size);
    if (json.length < size) {
      throw formatError(
        `${where}: the header says ${size} bytes but the file has ${8 + json.length}. Is it cut off, or another format?`,
      );
    }
    const { entries } = parseSafetensorsHeader(where, json, TYPES);
    onHeader(entries);
    for (const entry of entries) {
      const bytes = await queue.take(entry.to - entry.from);
      if (bytes.length < entry.to - entry.from) {
        throw formatError(
          `${where}: "${entry.name}" of shape [${entry.shape.join(', ')}] expected ${entry.to - entry.from} bytes, ` +
            `the file ended after ${bytes.length}. Is it cut off?`,
        );
      }
      const { name, dtype, shape, to } = entry;
      yield { name, readBytes: 8 + size + to, dtype, shape, data: new ARRAYS[dtype as SafeTensor['dtype']](bytes.buffer) } as StreamedTensor;
    }
    if ((await queue.take(1)).length > 0) {
      throw formatError(`${where}: expected the file to end after its last tensor, but it goes on. Is it damaged?`);
    }
  } finally {
    await queue.end();
  }
}

/** Bytes in portions of the reader's choice. */
function createQueue(chunks: AsyncIterable<Uint8Array>): {
  /** The next bytes, fewer at the end of the stream. */
  take(count: number): Promise<Uint8Array<ArrayBuffer>>;
  end(): Promise<void>;
} {
  const iterator = chunks[Symbol.asyncIterator]();
  let chunk = new Uint8Array(0) as Uint8Array;
  return {
    async take(count) {
      // Grown as the bytes come, so that a header that lies about its size allocates nothing.
      let out = new Uint8Array(Math.min(count, 1 << 16));
      let filled = 0;
      while (filled < count) {
        if (chunk.length === 0) {
          const next = await iterator.next();
          if (next.done) break;
          chunk = next.value;
          continue;
        }
        const part = chunk.subarray(0, count - filled);
        if (filled + part.length > out.length) {
          const grown = new Uint8Array(Math.min(count, Math.max(2 * out.length, filled + part.length)));
          grown.set(out.subarray(0, filled));
          out = grown;
        }
        out.set(part, filled);
        filled += part.length;
        chunk = chunk.subarray(part.length);
      }
      return filled === out.length ? out : out.slice(0, filled);
    },
    async end() {
      await iterator.return?.();
    },
  };
}

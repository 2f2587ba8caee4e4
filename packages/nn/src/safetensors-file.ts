import { DTYPE_BYTES, formatError, headerJsonBytes, parseSafetensorsHeader } from './safetensors-header';
import type { StateDict, StoredDtype } from './tensor-source';

/** A file of which any part can be read: a file handle, a Blob, ranges of a URL. */
export type ByteSource = {
  /** For messages: path or URL. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** Bytes `[offset, offset + length)`, fewer only where the file ends. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close?(): Promise<void>;
};

/**
 * A safetensors file of which one tensor at a time is read, of any element type the format shares with `StateDict`.
 *
 * @param source Belongs to the result from now on, which closes it; it is also closed if this throws.
 * @throws CheckpointError if the file is cut off, of another format, or holds another type; `read` for a name that is not there
 *   or a file that has become shorter.
 */
export async function openSafetensors(source: ByteSource): Promise<StateDict> {
  const where = `openSafetensors(${source.name})`;
  try {
    const jsonBytes = headerJsonBytes(where, await source.read(0, 8), source.size);
    const dataStart = 8 + jsonBytes;
    const types = Object.keys(DTYPE_BYTES) as StoredDtype[];
    const { entries } = parseSafetensorsHeader(where, await source.read(8, jsonBytes), types, source.size - dataStart);
    const tensors = new Map(entries.map((entry) => [entry.name, entry]));
    return {
      name: source.name,
      tensors,
      async read(tensor) {
        const entry = tensors.get(tensor);
        if (!entry) throw formatError(`${where}: expected a tensor of the file, received "${tensor}".`);
        const length = entry.to - entry.from;
        const bytes = await source.read(dataStart + entry.from, length);
        if (bytes.length !== length) {
          throw formatError(`${where}: expected ${length} bytes of "${tensor}", received ${bytes.length}. Is it cut off?`);
        }
        return bytes;
      },
      async close() {
        await source.close?.();
      },
    };
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

import { TorchFileError } from './errors';

/** Bytes that can be read from anywhere: a file, a Blob, a server that answers ranges. */
export type ByteSource = {
  /** For messages: path or URL. */
  readonly name: string;
  /** How many bytes there are. */
  readonly size: number;
  /** `length` bytes from `offset`, which lie within `size`. The caller may keep and change them. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Lets go of it; twice without harm. */
  close?(): Promise<void>;
};

/** A `File` or `Blob` of a browser (Node has them too). Only the parts that are asked for are loaded. */
export function blobSource(blob: Blob, name = blobName(blob)): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  };
}

/** Bytes in memory, which must not change meanwhile. */
export function bytesSource(bytes: Uint8Array, name = 'bytes'): ByteSource {
  return {
    name,
    size: bytes.length,
    // Not bytes.slice: on a Node Buffer that is a view.
    read: async (offset, length) => new Uint8Array(bytes.subarray(offset, offset + length)),
  };
}

/**
 * Exactly `length` bytes from `offset`.
 *
 * @throws TorchFileError `truncated` if they reach beyond the end or fewer come; `read` if the source fails.
 */
export async function readExactly(
  source: ByteSource,
  offset: number,
  length: number,
  what: string,
): Promise<Uint8Array> {
  if (offset < 0 || length < 0 || offset + length > source.size) {
    throw new TorchFileError(
      `${source.name}: expected ${length} bytes of ${what} at ${offset}, but the file has ${source.size}. Is it cut off?`,
      'truncated',
    );
  }
  let bytes: Uint8Array;
  try {
    bytes = await source.read(offset, length);
  } catch (cause) {
    if (cause instanceof TorchFileError) throw cause;
    throw new TorchFileError(`${source.name}: reading ${what} failed: ${messageOf(cause)}`, 'read', { cause });
  }
  if (bytes.length !== length) {
    throw new TorchFileError(
      `${source.name}: expected ${length} bytes of ${what} at ${offset}, received ${bytes.length}. Did the file change?`,
      'truncated',
    );
  }
  return bytes;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function blobName(blob: Blob): string {
  return 'name' in blob && typeof blob.name === 'string' ? blob.name : 'blob';
}

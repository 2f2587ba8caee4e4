import type { Entry, Reader, ZipReader as ZipReaderType } from '@zip.js/zip.js';
import { type ByteSource, messageOf, readExactly } from './byte-source';
import { clip } from './clip';
import { crc32 } from './crc32';
import { TorchFileError } from './errors';
import { type Limits } from './limits';

/** An open zip archive whose directory was checked: no name twice, no entries over each other, nothing encrypted. */
export type ZipArchive = {
  /** Every file in it, with its size when unpacked. */
  readonly sizes: ReadonlyMap<string, number>;
  /**
   * All bytes of an entry, unpacked if it is compressed.
   *
   * @throws TorchFileError `too_large` beyond `maxBytes`, `archive` if it is damaged (with `checkCrc`: also by its checksum).
   */
  readAll(entry: string, maxBytes: number, checkCrc: boolean): Promise<Uint8Array>;
  /** Where the bytes of an entry are in the file, and their checksum (0: it has none); null if it is compressed. */
  locate(entry: string): Promise<{ readonly offset: number; readonly size: number; readonly crc32: number } | null>;
  /** @throws TorchFileError `archive` if the bytes are not those of the entry. */
  checkBytes(entry: string, bytes: Uint8Array, crc32: number): void;
};

type FileEntry = Exclude<Entry, { directory: true }>;

const LOCAL_HEADER_BYTES = 30;
const DIRECTORY_BYTES_PER_ENTRY = 1024; // names, extra fields and comments of an honest one

/**
 * The directory of a zip or zip64 archive.
 *
 * @throws TorchFileError `truncated` if it has no directory, `archive` if that is damaged, `too_large` beyond `maxEntries`.
 */
export async function openZipArchive(source: ByteSource, limits: Limits): Promise<ZipArchive> {
  // Only zip archives need it, and its smallest part is offered to `import` alone.
  const { ZipReader } = await import('@zip.js/zip.js/lib/zip-core-reader.js');
  const zip: ZipReaderType<unknown> = new ZipReader(
    libraryReader(source, limits.maxEntries * DIRECTORY_BYTES_PER_ENTRY),
  );
  const entries = await readDirectory(source, zip, limits.maxEntries);
  const find = (name: string): FileEntry => {
    const entry = entries.get(name);
    if (!entry)
      throw new TorchFileError(
        `${source.name}: the archive has no entry ${clip(name)}. Is the file whole?`,
        'archive',
        {
          entry: name,
        },
      );
    return entry;
  };
  const places = new Map<string, { offset: number; size: number; crc32: number }>();
  return {
    sizes: new Map([...entries].map(([name, entry]) => [name, entry.uncompressedSize])),
    readAll: (name, maxBytes, checkCrc) => readAll(source, find(name), maxBytes, checkCrc),
    async locate(name) {
      const known = places.get(name);
      if (known) return known;
      const entry = find(name);
      if (entry.compressionMethod !== 0) return null;
      // Checks the local header against the directory, and says where the data start.
      await asArchiveError(source, name, () =>
        entry.getData(new WritableStream(), { checkOverlappingEntryOnly: true }),
      );
      const { uncompressedSize: size, signature = 0 } = entry;
      const place = { offset: entry.localDirectory!.dataOffset, size, crc32: signature >>> 0 };
      places.set(name, place);
      return place;
    },
    checkBytes(name, bytes, expected) {
      if (expected === 0 || crc32(bytes) === expected) return;
      throw damaged(
        source,
        name,
        'does not have the checksum that the archive says (checkCrc: false, or --skip-checksums, reads archives made without)',
      );
    },
  };
}

async function readDirectory(
  source: ByteSource,
  zip: ZipReaderType<unknown>,
  maxEntries: number,
): Promise<Map<string, FileEntry>> {
  const entries = new Map<string, FileEntry>();
  const all: Entry[] = [];
  await asArchiveError(source, undefined, async () => {
    for await (const entry of zip.getEntriesGenerator()) {
      if (all.length === maxEntries) {
        throw new TorchFileError(
          `${source.name}: the archive has more than maxEntries = ${maxEntries} entries. Raise the limit if you trust the file.`,
          'too_large',
        );
      }
      all.push(entry);
      const damage = entries.has(entry.filename)
        ? 'is there twice'
        : entry.encrypted
          ? 'is encrypted'
          : !entry.directory && entry.compressionMethod === 0 && entry.compressedSize !== entry.uncompressedSize
            ? `is stored, but with ${entry.compressedSize} bytes of ${entry.uncompressedSize}`
            : undefined;
      if (damage) throw damaged(source, entry.filename, damage);
      if (!entry.directory) entries.set(entry.filename, entry);
    }
  });
  checkNoOverlap(source, all);
  return entries;
}

/** Entries over each other make a small file unpack to a huge one. */
function checkNoOverlap(source: ByteSource, entries: readonly Entry[]): void {
  const sorted = [...entries].sort((a, b) => a.offset - b.offset);
  sorted.forEach((entry, i) => {
    const end = entry.offset + LOCAL_HEADER_BYTES + entry.rawFilename.length + entry.compressedSize;
    if (end > (sorted[i + 1]?.offset ?? source.size)) {
      throw damaged(
        source,
        entry.filename,
        i + 1 < sorted.length ? `overlaps ${clip(sorted[i + 1]!.filename)}` : 'reaches beyond the end',
      );
    }
  });
}

async function readAll(source: ByteSource, entry: FileEntry, maxBytes: number, checkCrc: boolean): Promise<Uint8Array> {
  const { filename: name, uncompressedSize: size } = entry;
  if (size > maxBytes) {
    throw new TorchFileError(
      `${source.name}: ${clip(name)} has ${size} bytes unpacked, the limit is ${maxBytes}. ` +
        (entry.compressionMethod === 0
          ? 'Raise the limit if you trust the file.'
          : 'It is compressed, which torch.save does not do: pack it again without compression.'),
      'too_large',
      { entry: name },
    );
  }
  const bytes = new Uint8Array(size);
  let length = 0;
  const writer = new WritableStream<Uint8Array>({
    write(chunk) {
      if (length + chunk.length > size)
        throw damaged(source, name, `unpacks to more than the ${size} bytes it declares`);
      bytes.set(chunk, length);
      length += chunk.length;
    },
  });
  await asArchiveError(source, name, () =>
    entry.getData(writer, { checkCrc32: checkCrc, useWebWorkers: false, checkOverlappingEntry: true }),
  );
  if (length !== size) throw damaged(source, name, `unpacks to ${length} bytes, but declares ${size}`);
  return bytes;
}

/** What the library reads through. It guards the memory: the library reads the whole directory at once. */
function libraryReader(source: ByteSource, maxRead: number): Reader<unknown> {
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    if (length > maxRead) {
      throw new TorchFileError(
        `${source.name}: its archive directory has ${length} bytes, expected at most ${maxRead}.`,
        'too_large',
      );
    }
    const end = Math.min(offset + length, source.size); // it probes beyond the end, and looks at how much came
    return end <= offset ? new Uint8Array() : readExactly(source, offset, end - offset, 'its archive directory');
  };
  const createReadable = ({ offset = 0, size = source.size } = {}): ReadableStream => {
    const end = offset + size;
    let at = offset;
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (at >= end) return controller.close();
          const length = Math.min(CHUNK, end - at);
          controller.enqueue(await readExactly(source, at, length, 'an entry'));
          at += length;
        },
      },
      { highWaterMark: 0 },
    );
  };
  return {
    size: source.size,
    readUint8Array: read,
    createReadable,
    get readable() {
      return createReadable();
    },
  };
}

/** Small, since a chunk may inflate to a thousand times its size at once. */
const CHUNK = 64 * 1024;

/** Runs a call of the library; what it throws becomes a TorchFileError. */
async function asArchiveError<T>(source: ByteSource, entry: string | undefined, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof TorchFileError) throw cause;
    const message = messageOf(cause);
    if (/end of central directory not found|not recognized/i.test(message)) {
      throw new TorchFileError(
        `${source.name}: starts like a zip archive, but has no directory at its end. Is it cut off? Load it again.`,
        'truncated',
        { cause },
      );
    }
    throw damaged(source, entry, clip(message), cause);
  }
}

function damaged(source: ByteSource, entry: string | undefined, what: string, cause?: unknown): TorchFileError {
  const which = entry === undefined ? '' : `${clip(entry)} `;
  return new TorchFileError(`${source.name}: damaged archive: ${which}${what}. Load the file again.`, 'archive', {
    ...(entry === undefined ? {} : { entry }),
    cause,
  });
}

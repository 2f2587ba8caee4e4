import { open, stat as statOf } from 'node:fs/promises';
import { type ByteSource } from './byte-source';
import { TorchFileError } from './errors';
import { openTorchFile, type OpenTorchFileOptions, type TorchFile } from './torch-file';

/** More than a system call takes at once on some platforms. */
const MAX_READ = 1024 * 1024 * 1024;

/**
 * A file on disk. Only the parts that are asked for are read; `close()` closes it.
 *
 * @throws TorchFileError `read` if it cannot be opened.
 */
export async function fileSource(path: string): Promise<ByteSource> {
  try {
    const stat = await statOf(path);
    if (!stat.isFile()) throw new Error('expected a file, received a folder, a pipe or a device'); // opening a pipe would wait
    const file = await open(path, 'r');
    let closed: Promise<void> | undefined;
    return {
      name: path,
      size: stat.size,
      async read(offset, length) {
        const bytes = new Uint8Array(length);
        let at = 0;
        while (at < length) {
          const { bytesRead } = await file.read(bytes, at, Math.min(length - at, MAX_READ), offset + at);
          if (bytesRead === 0) return bytes.slice(0, at);
          at += bytesRead;
        }
        return bytes;
      },
      close: () => (closed ??= file.close()),
    };
  } catch (cause) {
    throw new TorchFileError(`${path}: cannot be opened: ${(cause as Error).message}`, 'read', { cause });
  }
}

/**
 * `openTorchFile` for a file on disk.
 *
 * @throws TorchFileError as `openTorchFile`, and `read` if the file cannot be opened.
 */
export async function openTorchPath(path: string, options: OpenTorchFileOptions = {}): Promise<TorchFile> {
  return openTorchFile(await fileSource(path), options);
}

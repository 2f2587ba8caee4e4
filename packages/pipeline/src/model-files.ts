import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { ModelError } from './errors';
import type { ModelFile } from './manifest';
import type { ModelSource } from './model-source';

/** What a manifest of either kind says about the files beside it. */
export type FileList = { readonly files: Readonly<Record<string, ModelFile>> };

/**
 * Bytes of a file of the model folder, checked against the manifest.
 *
 * @throws ModelError `missing_file` or `altered_file`.
 */
export async function readModelFile(source: ModelSource, manifest: FileList, file: string): Promise<Uint8Array> {
  const expected = expectListed(source, manifest, file);
  const bytes = await source.read(file);
  const hash = newHash(source);
  hash.update(bytes);
  const received = bytesToHex(hash.digest());
  if (received !== expected.sha256) throw altered(source, file, expected, received, bytes.length);
  return bytes;
}

/**
 * Bytes of a file of the model folder as they come in. What is read is checked against the manifest only at the end: nothing may
 * be done with it before that which could not be undone. A consumer that stops early, as for bytes it cannot make sense of,
 * asks `check` whether that is the file's fault.
 */
export function streamModelFile(
  source: ModelSource,
  manifest: FileList,
  file: string,
): {
  /** To be run through once. @throws ModelError `missing_file`, or `altered_file` at the end. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Reads what is left. @throws ModelError `altered_file` if the file is not the one the manifest lists. */
  check(): Promise<void>;
  /** Reads no further. */
  cancel(): Promise<void>;
} {
  const expected = expectListed(source, manifest, file);
  const incoming = (source.stream?.(file) ?? wholeFile(source, file))[Symbol.asyncIterator]();
  const hash = newHash(source);
  let length = 0;
  let done = false;
  const next = async (): Promise<Uint8Array | undefined> => {
    const result = await incoming.next();
    if (result.done) {
      done = true;
      return undefined;
    }
    hash.update(result.value);
    length += result.value.length;
    if (length > expected.bytes) {
      await incoming.return?.();
      throw altered(source, file, expected, 'more', length);
    }
    return result.value;
  };
  let verdict: Promise<void> | undefined;
  const check = (): Promise<void> =>
    (verdict ??= (async () => {
      while (!done) await next();
      const received = bytesToHex(hash.digest());
      if (received !== expected.sha256) throw altered(source, file, expected, received, length);
    })());
  return {
    check,
    async cancel() {
      await incoming.return?.();
    },
    chunks: {
      async *[Symbol.asyncIterator]() {
        for (let chunk = await next(); chunk; chunk = await next()) yield chunk;
        await check();
      },
    },
  };
}

function newHash(source: ModelSource): { update(bytes: Uint8Array): unknown; digest(): Uint8Array } {
  return source.sha256?.() ?? sha256.create();
}

async function* wholeFile(source: ModelSource, file: string): AsyncGenerator<Uint8Array, void, void> {
  yield await source.read(file);
}

function expectListed(source: ModelSource, manifest: FileList, file: string): ModelFile {
  const expected = Object.hasOwn(manifest.files, file) ? manifest.files[file] : undefined;
  if (expected) return expected;
  throw new ModelError(`${source.name}/model.json lists no "${file}". This model comes without that part.`, {
    code: 'missing_file',
    file,
  });
}

function altered(source: ModelSource, file: string, expected: ModelFile, received: string, bytes: number): ModelError {
  const came = received === 'more' ? `more than ${expected.bytes} bytes` : `${received} (${bytes} bytes)`;
  return new ModelError(
    `Model file ${source.name}/${file} was altered or cut: expected SHA-256 ${expected.sha256} (${expected.bytes} bytes), ` +
      `received ${came}. Get the model folder again.`,
    { code: 'altered_file', file },
  );
}

import { ModelError } from './errors';

/** Where a model folder comes from: a directory, a URL, an npm package, memory. */
export type ModelSource = {
  /** For messages: the path or URL of the folder. */
  readonly name: string;
  /** Bytes of one file of the folder. @throws ModelError `missing_file` when it is not there. */
  read(file: string): Promise<Uint8Array>;
  /**
   * The same bytes as they come in, so that a large file is never in memory as a whole. Without it, files are read whole.
   *
   * @throws ModelError `missing_file` when it is not there, or breaks off.
   */
  stream?(file: string): AsyncIterable<Uint8Array>;
  /** SHA-256 in pieces, where the platform has a fast one; JavaScript takes ten seconds for a gigabyte. */
  sha256?(): { update(bytes: Uint8Array): unknown; digest(): Uint8Array };
};

/**
 * A model folder served over HTTP.
 *
 * @param baseUrl Address of the folder, with or without a slash at the end; in a page it may be relative to the page.
 * @param options `fetch` to use another one than the global.
 */
export function urlSource(baseUrl: string, options: { readonly fetch?: typeof fetch } = {}): ModelSource {
  const name = baseUrl.replace(/\/+$/, '');
  const get = options.fetch ?? fetch;
  const request = async (file: string): Promise<Response> => {
    const url = `${name}/${file}`;
    let response: Response;
    try {
      response = await get(url);
    } catch (cause) {
      throw missing(file, url, `the request failed (${messageOf(cause)})`, cause);
    }
    if (!response.ok) {
      await response.body?.cancel().catch(() => {}); // nobody will read it
      throw missing(file, url, `the server answered ${response.status}`);
    }
    return response;
  };
  const brokenOff = (file: string, cause: unknown): ModelError =>
    missing(file, `${name}/${file}`, `the download broke off (${messageOf(cause)})`, cause);
  return {
    name,
    async read(file) {
      const response = await request(file);
      try {
        return new Uint8Array(await response.arrayBuffer());
      } catch (cause) {
        throw brokenOff(file, cause);
      }
    },
    async *stream(file) {
      const reader = (await request(file)).body?.getReader();
      if (!reader) return;
      try {
        for (;;) {
          const { done, value } = await reader.read().catch((cause: unknown) => {
            throw brokenOff(file, cause);
          });
          if (done) return;
          yield value;
        }
      } finally {
        await reader.cancel().catch(() => {}); // a broken download has nothing left to cancel
      }
    },
  };
}

/** A model folder held in memory: file name to bytes. */
export function memorySource(name: string, files: Readonly<Record<string, Uint8Array>>): ModelSource {
  return {
    name,
    async read(file) {
      const bytes = Object.hasOwn(files, file) ? files[file] : undefined;
      if (bytes === undefined) throw missing(file, `${name}/${file}`, 'it is not there');
      return bytes;
    },
  };
}

/** The error for a file that cannot be had; for writers of further sources. */
export function missing(file: string, place: string, why: string, cause?: unknown): ModelError {
  const remedy =
    file === 'model.json'
      ? 'Check that this is the address of a model folder, which has a model.json.'
      : 'The model folder is not complete: get it again.';
  return new ModelError(`Model file ${place} could not be read: ${why}. ${remedy}`, {
    code: 'missing_file',
    file,
    cause,
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

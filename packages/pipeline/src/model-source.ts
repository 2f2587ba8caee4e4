import { ModelError } from './errors';

/** Where a model folder comes from: a directory, a URL, an npm package, memory. */
export type ModelSource = {
  /** For messages: the path or URL of the folder. */
  readonly name: string;
  /** Bytes of one file of the folder. @throws ModelError `missing_file` when it is not there. */
  read(file: string): Promise<Uint8Array>;
};

/**
 * A model folder served over HTTP.
 *
 * @param baseUrl Address of the folder, with or without a slash at the end.
 * @param options `fetch` to use another one than the global.
 */
export function urlSource(baseUrl: string, options: { fetch?: typeof fetch } = {}): ModelSource {
  const base = baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`;
  const get = options.fetch ?? fetch;
  return {
    name: baseUrl,
    async read(file) {
      const url = `${base}${file}`;
      let response: Response;
      try {
        response = await get(url);
      } catch (cause) {
        throw missing(file, url, 'the request failed (is the address right, and does the server allow this page to read it?)', cause);
      }
      if (!response.ok) throw missing(file, url, `the server answered ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    },
  };
}

/** A model folder held in memory: file name to bytes. */
export function memorySource(name: string, files: Readonly<Record<string, Uint8Array>>): ModelSource {
  return {
    name,
    async read(file) {
      const bytes = files[file];
      if (bytes === undefined) throw missing(file, `${name}/${file}`, 'it is not there');
      return bytes;
    },
  };
}

/** The error for a file that cannot be had; for writers of further sources. */
export function missing(file: string, place: string, why: string, cause?: unknown): ModelError {
  return new ModelError(`Model file ${place} could not be read: ${why}.`, { code: 'missing_file', file, cause });
}

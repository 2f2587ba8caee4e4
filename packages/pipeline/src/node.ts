import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ParamTree, TensorEntry } from '@sgdiff/nn';
import { ModelError } from './errors';
import { loadPipeline as loadFrom, type LoadOptions } from './load';
import { missing, urlSource, type ModelSource } from './model-source';
import { loadPart as loadPartFrom, type LoadedPart, type PartKind } from './part';
import type { Pipeline } from './pipeline';
import type { WeightsOptions } from './weights';

/**
 * `loadPipeline` for Node: a string may also be a folder or the name of an npm package (see `resolveModel`).
 *
 * @throws ModelError as `resolveModel` and `loadPipeline` of `@sgdiff/pipeline`.
 */
export async function loadPipeline(model: ModelSource | string, options: LoadOptions = {}): Promise<Pipeline> {
  return loadFrom(typeof model === 'string' ? resolveModel(model) : model, options);
}

/**
 * `loadPart` for Node: a string may also be a folder or the name of an npm package (see `resolveModel`).
 *
 * @throws ModelError as `resolveModel` and `loadPart` of `@sgdiff/pipeline`.
 */
export async function loadPart<T extends ParamTree, C>(
  source: ModelSource | string,
  kind: PartKind,
  list: (config: C) => readonly TensorEntry[],
  options: WeightsOptions = {},
): Promise<LoadedPart<T, C>> {
  return loadPartFrom(typeof source === 'string' ? resolveModel(source) : source, kind, list, options);
}

/** A model folder on disk. */
export function folderSource(folder: string): ModelSource {
  return {
    name: folder.replace(/(?<=.)[/\\]+$/, ''),
    async read(file) {
      const path = join(folder, file);
      try {
        return new Uint8Array(await readFile(path));
      } catch (cause) {
        throw unreadable(file, path, cause);
      }
    },
    sha256: () => createHash('sha256'),
    async *stream(file) {
      const path = join(folder, file);
      try {
        yield* createReadStream(path, { highWaterMark: 1 << 22 }) as AsyncIterable<Uint8Array>;
      } catch (cause) {
        throw unreadable(file, path, cause);
      }
    },
  };
}

function unreadable(file: string, path: string, cause: unknown): ModelError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return missing(file, path, code === 'ENOENT' ? 'it is not there' : message, cause);
}

/**
 * A model by what a user would type: a URL, a folder, or the name of an npm package that holds one.
 *
 * @param from Folder from which a package name is resolved.
 * @throws ModelError `missing_file` when it is none of the three.
 */
export function resolveModel(model: string, from: string = process.cwd()): ModelSource {
  if (/^https?:\/\//.test(model)) return urlSource(model);
  if (existsSync(model)) {
    if (statSync(model).isDirectory()) return folderSource(model);
    throw new ModelError(
      `Model "${model}": expected a folder with a model.json, received a file. Name the folder it is in.`,
      { code: 'missing_file' },
    );
  }
  try {
    const manifest = createRequire(pathToFileURL(join(from, 'index.js'))).resolve(`${model}/package.json`);
    return folderSource(dirname(manifest));
  } catch (cause) {
    throw new ModelError(
      `Model "${model}": expected a folder, a URL or an installed npm package, found none. Check the name.`,
      { code: 'missing_file', cause },
    );
  }
}

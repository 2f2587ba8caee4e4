import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModelError } from './errors';
import { missing, urlSource, type ModelSource } from './model-source';

/** A model folder on disk. */
export function folderSource(folder: string): ModelSource {
  return {
    name: folder,
    async read(file) {
      const path = join(folder, file);
      try {
        return new Uint8Array(await readFile(path));
      } catch (cause) {
        const code = (cause as NodeJS.ErrnoException).code;
        throw missing(file, path, code === 'ENOENT' ? 'it is not there' : `${String(code)}: ${(cause as Error).message}`, cause);
      }
    },
  };
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
    throw new ModelError(`${model} is a file, expected a model folder (a directory with model.json).`, { code: 'missing_file' });
  }
  try {
    const manifest = createRequire(pathToFileURL(join(from, 'index.js'))).resolve(`${model}/package.json`);
    return folderSource(dirname(manifest));
  } catch (cause) {
    throw new ModelError(`No model "${model}": it is neither a folder, nor a URL, nor an installed npm package.`, {
      code: 'missing_file',
      cause,
    });
  }
}

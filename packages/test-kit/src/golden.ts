import { readFileSync } from 'node:fs';

/**
 * Reads a golden file.
 *
 * @param importMetaUrl `import.meta.url` of the test.
 * @param relativePath Path from the test, e.g. `../fixtures/conv2d.golden.json`.
 * @returns The parsed JSON. `T` is the caller's word for what is in it.
 */
export function readGolden<T = unknown>(importMetaUrl: string, relativePath: string): T {
  return JSON.parse(readFileSync(new URL(relativePath, importMetaUrl), 'utf8')) as T;
}

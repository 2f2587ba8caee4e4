import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setupBackend } from '@sgdiff/test-kit';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { tinyModel, type ModelFiles } from './testing/tiny-model';

// Inside the package, so that the examples' imports resolve as a reader's would.
const folder = mkdtempSync(join(import.meta.dirname, '.readme-'));
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const [inNode, inBrowser] = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);
const home = process.cwd();
let files: ModelFiles;

beforeAll(async () => {
  await setupBackend('cpu');
  files = await tinyModel();
  mkdirSync(join(folder, 'model'));
  for (const [file, bytes] of Object.entries(files)) writeFileSync(join(folder, 'model', file), bytes);
});
afterAll(() => {
  vi.unstubAllGlobals();
  rmSync(folder, { recursive: true });
});

/** Runs an example with the tiny model in place of the one it names. */
async function runExample(name: string, code: string): Promise<void> {
  const path = join(folder, `${name}.ts`);
  const local = code
    .replace("'@sgdiff/model-picture-book'", JSON.stringify(join(folder, 'model')))
    .replace("'@sgdiff/pipeline/node'", "'../node'")
    .replace("'@sgdiff/pipeline'", "'../index'")
    .replace("'cow'", "'tree'"); // a word that the tiny model knows
  writeFileSync(path, local);
  await import(/* @vite-ignore */ path);
}

it('README example for Node writes two pictures', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const write = inNode.replace('`${name}.ppm`', `\`${folder}/\${name}.ppm\``);
  await runExample('node', write);
  expect(log.mock.calls).toEqual([[4, 'cpu']]);
  log.mockRestore();
  const pictures = ['picture', 'cow'].map((name) => readFileSync(join(folder, `${name}.ppm`)));
  expect(pictures.map((bytes) => bytes.length)).toEqual([203, 203]); // header of 11 bytes, 8 · 8 · 3 of pixels
  expect(pictures[0]).not.toEqual(pictures[1]);
  expect(existsSync(join(home, 'picture.ppm'))).toBe(false);
});

it('README example for the browser shows previews and the picture', async () => {
  const shown: ImageData[] = [];
  const context = { putImageData: (image: ImageData) => shown.push(image) };
  vi.stubGlobal('document', { querySelector: () => ({ getContext: () => context }) });
  vi.stubGlobal(
    'ImageData',
    class {
      constructor(
        readonly data: Uint8ClampedArray,
        readonly width: number,
      ) {}
    },
  );
  vi.stubGlobal(
    'fetch',
    async (url: string) => new Response(new Uint8Array(files[url.replace('/models/picture-book/', '')])),
  );
  await runExample('browser', inBrowser);
  expect(shown.map(({ data, width }) => [data.length, width])).toEqual([
    [256, 8],
    [256, 8],
  ]);
});

// The import rules as ESLint applies them, by source files that do not exist.
import { join } from 'node:path';
import { ESLint } from 'eslint';
import { expect, it } from 'vitest';
import { readProjects } from './layers.mjs';

const root = join(import.meta.dirname, '..');
const eslint = new ESLint({ cwd: root });

/** What the import rules say about `import '…'` in a file. */
async function complaints(file, imported) {
  const [{ messages }] = await eslint.lintText(`import '${imported}';\n`, { filePath: join(root, file) });
  return messages.filter(({ ruleId }) => ruleId === 'no-restricted-imports').map(({ message }) => message);
}

it('knows layer and runtime of every project', () => {
  for (const { name, layer, runtime } of readProjects()) {
    expect(layer, name).toBeGreaterThanOrEqual(0);
    expect(['any', 'node', 'browser'], name).toContain(runtime);
  }
});

it.each([
  ['packages/pipeline/src/x.ts', '@sgdiff/nn'],
  ['packages/pipeline/src/node.ts', '@sgdiff/nn'],
  ['packages/pipeline/src/node.ts', 'node:fs'],
  ['packages/pipeline/src/x.ts', '@tensorflow/tfjs-core'],
  ['packages/pipeline/src/x.ts', '@noble/hashes/sha2.js'],
  ['apps/train/src/x.ts', '@sgdiff/pipeline/node'],
  ['apps/train/src/x.ts', '@sgdiff/model-picture-book/package.json'],
  ['apps/train/src/x.ts', '@tensorflow/tfjs-backend-wasm'],
  ['apps/web-demo/src/x.ts', '@sgdiff/pipeline'],
  ['packages/nn/src/x.test.ts', '@sgdiff/test-kit'],
  ['packages/nn/src/x.test.ts', '@tensorflow/tfjs'],
  ['packages/nn/src/x.test.ts', 'node:fs'],
  ['packages/node-backends/src/x.ts', '@tensorflow/tfjs-backend-webgpu'],
  ['packages/test-kit/src/x.ts', '@sgdiff/node-backends'],
  ['packages/nn/src/x.test.ts', '@sgdiff/node-backends'],
  ['apps/train/src/x.ts', '@sgdiff/node-backends'],
])('%s may import %s', async (file, imported) => {
  expect(await complaints(file, imported)).toEqual([]);
});

const LOWER = /Imports go to a lower layer only/;
const BACKEND = /Only apps, node-backends \(and tests\) import a backend/;
const STARTER = /Only apps \(and tests\) bring a backend up/;
const OUTSIDE = /This project runs outside Node too/;
it.each([
  ['packages/nn/src/x.ts', '@sgdiff/pipeline', LOWER],
  ['packages/nn/src/x.ts', '@sgdiff/pipeline/node', LOWER],
  ['packages/nn/src/x.test.ts', '@sgdiff/pipeline/node', LOWER],
  ['packages/nn/src/node.ts', '@sgdiff/pipeline/node', LOWER],
  ['packages/nn/src/node/x.ts', '@sgdiff/pipeline', LOWER],
  ['packages/metrics/src/x.ts', '@sgdiff/datasets', LOWER], // the same layer
  ['packages/pipeline/src/x.ts', '@tensorflow/tfjs', BACKEND],
  ['packages/pipeline/src/x.ts', '@tensorflow/tfjs-backend-wasm/dist/base', BACKEND],
  ['packages/pipeline/src/node.ts', '@tensorflow/tfjs-node', BACKEND],
  ['packages/node-backends/src/x.ts', '@sgdiff/nn', LOWER],
  ['packages/pipeline/src/x.ts', '@sgdiff/node-backends', STARTER],
  ['packages/pipeline/src/node.ts', '@sgdiff/node-backends', STARTER],
  ['apps/web-demo/src/x.ts', '@sgdiff/node-backends', /runs in node only/],
  ['packages/pipeline/src/x.ts', 'node:fs', OUTSIDE],
  ['packages/pipeline/src/x.ts', 'fs/promises', OUTSIDE],
  ['apps/web-demo/src/x.ts', '@sgdiff/pipeline/node', OUTSIDE],
  ['packages/pipeline/src/x.ts', '@sgdiff/test-kit', /is for tests/],
  ['packages/pipeline/src/node.ts', '@sgdiff/test-kit', /is for tests/],
  ['packages/pipeline/src/x.ts', '@sgdiff/nn/src/tree', /by its name/],
])('%s may not import %s', async (file, imported, why) => {
  expect(await complaints(file, imported)).toContainEqual(expect.stringMatching(why));
});

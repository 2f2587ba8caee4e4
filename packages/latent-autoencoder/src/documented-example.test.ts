import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it } from 'vitest';

// Below the package, so that imports resolve as a reader's would; in node_modules, so that no other tool looks at it.
const folder = mkdtempSync(join(import.meta.dirname, '../node_modules/.readme-'));
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
/** What each example ends with, for a look at it. */
const results = ['rebuilt', 'step'] as const;

beforeAll(() => setupBackend('wasm'));
afterAll(() => rmSync(folder, { recursive: true }));

it('has two examples', () => expect(examples).toHaveLength(results.length));

it.each(examples.map((code, i) => ({ number: i + 1, code, result: results[i]! })))('README example $number runs', async ({ number, code, result }) => {
  const path = join(folder, `example-${number}.ts`);
  const local = code
    .replace("'@sgdiff/latent-autoencoder'", "'../../src/index'")
    .replace("'@sgdiff/latent-autoencoder/train'", "'../../src/train'");
  writeFileSync(path, `${local}\nexport { ${result} };\n`);
  const exported = (await import(/* @vite-ignore */ path)) as { rebuilt?: tf.Tensor; step?: { loss: tf.Tensor } };
  if (exported.rebuilt) expect(exported.rebuilt.shape).toEqual([4, 64, 64, 3]);
  if (exported.step) expect(Number.isFinite((await exported.step.loss.data())[0])).toBe(true);
  tf.disposeVariables();
});

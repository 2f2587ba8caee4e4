import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';

// Below the package, so that imports resolve as a reader's would; in node_modules, so that no other tool looks at it.
const folder = mkdtempSync(join(import.meta.dirname, '../node_modules/.readme-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('the README’s first example prints what it says', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const code = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
  writeFileSync(join(folder, 'example.ts'), code.replace("'@sgdiff/published-models'", "'../../src/index'"));
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  await import(/* @vite-ignore */ join(folder, 'example.ts'));
  const printed = log.mock.calls.flat();
  log.mockRestore();
  expect(printed).toEqual([{ parameters: 395_771_140, tensors: 628 }, 'tree']);
});

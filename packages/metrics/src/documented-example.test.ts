import { setupBackend } from '@sgdiff/test-kit';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

// Below the package, so that imports resolve as a reader's would; in node_modules, so that no other tool looks at it.
const folder = mkdtempSync(join(import.meta.dirname, '../node_modules/.readme-'));
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code);

beforeAll(() => setupBackend('wasm')); // the second example runs a detector of full width
afterAll(() => rmSync(folder, { recursive: true }));

it.each(examples.map((code, i) => ({ number: i + 1, code })))(
  'README example $number runs',
  async ({ number, code }) => {
    const path = join(folder, `example-${number}.ts`);
    const local = code.replace(/'@sgdiff\/metrics'/g, "'../../src/index'");
    writeFileSync(path, local);
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    await import(/* @vite-ignore */ path);
    const printed = [...log.mock.calls];
    log.mockRestore();
    expect(printed.length).toBeGreaterThan(0);
    if (number === 1) {
      expect(printed).toEqual([[{ entities: [true, false, true], relations: [false, true] }], [0.5, 0.75, 0]]);
    }
    if (number === 3) expect([printed[0][0], printed[1][0]]).toBeAllClose([1, 2], { rtol: 1e-12 });
    if (number === 4) {
      expect(printed[0].slice(0, 2)).toEqual([
        [2, 2048],
        [2, 1008],
      ]);
      expect(printed[0][2]).toBeCloseTo(1, 5);
    }
  },
);

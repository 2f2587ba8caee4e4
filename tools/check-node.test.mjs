import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Linter } from 'eslint';
import { expect, it } from 'vitest';
import check from './check-node.cjs';
import { readProjects } from './layers.mjs';

const root = join(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

it.each(['0.12.18', '8.0.0', '18.20.0', '20.18.3', '21.7.0', '22.11.0'])(
  'refuses Node %s and says what to do',
  (version) => {
    expect(check.nodeProblem(version)).toBe(
      `expected Node 20.19 or newer of 20, or 22.12 or newer, received ${version}. Install a current Node (nodejs.org) and repeat.`,
    );
  },
);

it.each(['20.19.0', '20.20.1', '22.12.0', '23.0.0', '24.1.0', '25.0.0-nightly'])('accepts Node %s', (version) => {
  expect(check.nodeProblem(version)).toBeUndefined();
});

it('checks for the range that every manifest states', () => {
  const stated = [manifest, ...readProjects().map((project) => project.manifest)].flatMap(
    ({ engines }) => engines?.node ?? [],
  );
  expect(stated.length).toBeGreaterThan(10);
  expect(new Set(stated)).toEqual(new Set([check.range]));
});

it('is the one command of every script that starts a module of tools', () => {
  const scripts = Object.values(manifest.scripts).filter((script) => script.includes('tools/'));
  expect(scripts.length).toBeGreaterThan(0);
  for (const script of scripts) expect(script).toMatch(/^node tools\/check-node\.cjs \w+$/);
});

it('holds no syntax later than ES5', () => {
  const source = readFileSync(join(import.meta.dirname, 'check-node.cjs'), 'utf8');
  const messages = new Linter().verify(source, { languageOptions: { ecmaVersion: 5, sourceType: 'script' } });
  expect(messages).toEqual([]);
});

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'tsup';
import type { TestProject } from 'vitest/node';
import config from '../../tsup.config';

declare module 'vitest' {
  interface ProvidedContext {
    /** The built command. */
    command: string;
  }
}

/** Builds the command once for all tests, in a folder of its own where its packages are found, and removes it afterwards. */
export default async function buildCommand(project: TestProject): Promise<() => void> {
  const cache = join(import.meta.dirname, '../../node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const outDir = mkdtempSync(join(cache, 'sgdiff-'));
  await build({ ...config, config: false, outDir, silent: true, sourcemap: false });
  project.provide('command', join(outDir, 'main.js'));
  return () => rmSync(outDir, { recursive: true, force: true });
}

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

export type ScriptResult = { readonly code: number | string | null; readonly stdout: string; readonly stderr: string };

const LIMIT_MS = 60_000;

/**
 * Runs TypeScript in a process of its own, which must end by itself. It imports as a file in `src/` would.
 *
 * @returns `code` is `SIGTERM` for a process that did not end.
 */
export async function runScript(contents: string): Promise<ScriptResult> {
  const cache = join(import.meta.dirname, '../../node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'script-')); // from here the packages are found
  try {
    const outfile = join(folder, 'script.mjs');
    const stdin = { contents, loader: 'ts', resolveDir: join(import.meta.dirname, '..') } as const;
    await build({ stdin, outfile, bundle: true, platform: 'node', format: 'esm', packages: 'external' });
    return await new Promise((resolve) => {
      execFile(process.execPath, [outfile], { timeout: LIMIT_MS }, (error, stdout, stderr) => {
        resolve({ code: error ? (error.code ?? error.signal ?? null) : 0, stdout, stderr });
      });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

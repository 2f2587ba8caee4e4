// Bundles one of these scripts with the sources it imports and runs it: node scripts/run.mjs <name> [arguments]
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [name, ...args] = process.argv.slice(2);
const folder = fileURLToPath(new URL('.', import.meta.url));
const bundle = join(mkdtempSync(join(tmpdir(), 'picture-book-')), `${name}.mjs`);
const esbuild = join(folder, '../../../node_modules/.bin/esbuild');
const options = ['--bundle', '--platform=node', '--format=esm', '--conditions=@sgdiff/source', '--log-level=warning'];
const built = spawnSync(esbuild, [join(folder, `${name}.ts`), ...options, `--outfile=${bundle}`], { stdio: 'inherit' });
if (built.status !== 0) process.exit(built.status ?? 1);
process.exit(spawnSync(process.execPath, [bundle, ...args], { stdio: 'inherit', cwd: join(folder, '..') }).status ?? 1);

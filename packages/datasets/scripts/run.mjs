// Bundles one of these scripts with the sources it imports and runs it: node scripts/run.mjs <name> [arguments]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const [name, ...args] = process.argv.slice(2);
const folder = fileURLToPath(new URL('.', import.meta.url));
const bundles = mkdtempSync(join(tmpdir(), 'picture-book-'));
process.on('exit', () => rmSync(bundles, { recursive: true }));
const bundle = join(bundles, `${name}.mjs`);
await build({
  entryPoints: [join(folder, `${name}.ts`)],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  format: 'esm',
  conditions: ['@sgdiff/source'],
  logLevel: 'warning', // prints errors too
}).catch(() => process.exit(1));
process.exit(spawnSync(process.execPath, [bundle, ...args], { stdio: 'inherit', cwd: join(folder, '..') }).status ?? 1);

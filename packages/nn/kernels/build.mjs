// Compiles the AssemblyScript of this folder and writes the binaries, as base64, into src/wasm/binary.ts, so that they
// come along wherever the package goes. With --check nothing is written and a file that is out of date is an error.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const written = {};
const folder = dirname(fileURLToPath(import.meta.url));
const target = join(folder, '../src/wasm/binary.ts');

const text = `// Made by kernels/build.mjs from kernels/*.ts: change those, then run \`node kernels/build.mjs\`.
/** For a memory of one thread. */
export const PLAIN_BINARY =
  '${await compile([])}';
/** For a shared memory, as the threaded backend has it. */
export const SHARED_BINARY =
  '${await compile(['--enable', 'threads', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'])}';
`;

if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  process.stderr.write('src/wasm/binary.ts does not belong to kernels/*.ts. Run: node kernels/build.mjs\n');
  process.exit(1);
}

async function compile(memory) {
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--enable', 'simd', '--enable', 'bulk-memory'];
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'out.wasm', ...options, ...memory], {
    readFile: (name) => {
      try {
        return readFileSync(join(folder, name), 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (name, contents) => void (written[name] = contents),
    listFiles: () => [],
  });
  if (error) {
    process.stderr.write(stderr.toString());
    throw error;
  }
  return Buffer.from(written['out.wasm']).toString('base64');
}

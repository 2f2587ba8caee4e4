// Compiles the AssemblyScript of this folder and writes the binaries, as base64, into src/wasm/binary.ts, so that they
// come along wherever the package goes. With --check nothing is written and a file that is out of date is an error.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const written = {};
const folder = dirname(fileURLToPath(import.meta.url));
const target = join(folder, '../src/wasm/binary.ts');

const plain = await compile([]);
const shared = await compile(['--enable', 'threads', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536']);
const names = WebAssembly.Module.exports(new WebAssembly.Module(plain)).map(({ name }) => name).filter((name) => name !== 'memory');

const text = `// Made by kernels/build.mjs from kernels/*.ts: change those, then run \`node kernels/build.mjs\`.
export type KernelName =
${names.map((name) => `  | '${name}'`).join('\n')};
/** For a memory of one thread. */
export const PLAIN_BINARY =
  '${plain.toString('base64')}';
/** For a shared memory, as the threaded backend has it. */
export const SHARED_BINARY =
  '${shared.toString('base64')}';
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
  const binary = Buffer.from(written['out.wasm']);
  if (hasData(binary)) throw new Error('kernels/*.ts: a table or a string would be written into the memory of tfjs. Do without.');
  return binary;
}

/** Whether a module brings data of its own (section 11). */
function hasData(binary) {
  for (let at = 8; at < binary.length; ) {
    const id = binary[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = binary[at++];
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (id === 11) return true;
    at += size;
  }
  return false;
}

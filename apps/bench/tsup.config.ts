import { readFileSync } from 'node:fs';
import asc from 'assemblyscript/asc';
import { defineConfig, type Options } from 'tsup';

// From the sources of the whole workspace: the program needs no build of the packages.
const shared: Options = {
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  noExternal: [/^@sgdiff\//],
  esbuildOptions(options) {
    options.conditions = ['@sgdiff/source', 'import', 'module', 'default'];
  },
};

export default defineConfig(async () => [
  {
    ...shared,
    entry: ['src/main.ts', 'src/limits-worker.ts'],
    external: ['./plain-unet.js'],
    define: { LIMITS_WASM: JSON.stringify(await compileLimits()) },
  },
  {
    ...shared,
    // The U-Net as it is, on plain operations in place of those of nn.
    entry: ['src/plain-unet.ts'],
    esbuildPlugins: [
      {
        name: 'plain-operations',
        setup(build) {
          build.onResolve({ filter: /^@sgdiff\/nn$/ }, ({ importer }) =>
            importer.includes('diffusion-unet') ? { path: new URL('src/plain/nn.ts', import.meta.url).pathname } : undefined,
          );
        },
      },
    ],
  },
]);

/** The kernels that find the limits of the machine, as base64. */
async function compileLimits(): Promise<string> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    ['limits.ts', '--outFile', 'limits.wasm', '-O3', '--runtime', 'stub', '--enable', 'simd'],
    {
      readFile: (name) => (name === 'limits.ts' ? readFileSync(new URL('kernels/limits.ts', import.meta.url), 'utf8') : null),
      writeFile: (_name, contents) => void (binary = contents as Uint8Array),
      listFiles: () => [],
    },
  );
  if (error || !binary) throw error ?? new Error(stderr.toString());
  return Buffer.from(binary).toString('base64');
}

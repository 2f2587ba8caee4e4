import { defineConfig } from 'tsup';

/** One file from the sources of the whole workspace: the command needs no build of the packages. */
export default defineConfig({
  entry: ['src/main.ts'],
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  sourcemap: true,
  clean: true,
  noExternal: [/^@sgdiff\//, /^@noble\//],
  esbuildOptions(options) {
    options.conditions = ['@sgdiff/source', 'import', 'module', 'default'];
  },
});

import { defineConfig, type Options } from 'tsup';

/** How every library is built: ESM and CJS with types and source maps, dependencies left outside. */
export const libraryConfig = libraryBuild(['src/index.ts']);

/** The same for a library with further entry points (its `exports` subpaths). */
export function libraryBuild(entry: string[], more: Options = {}): Options | Options[] | ReturnType<typeof defineConfig> {
  return defineConfig({
    entry,
    format: ['esm', 'cjs'],
    dts: { compilerOptions: { customConditions: [], allowImportingTsExtensions: false } },
    sourcemap: true,
    clean: true,
    target: 'es2022',
    treeshake: true,
    // What two entry points share is one file for both, also in CJS: else each would have error classes of its own.
    splitting: true,
    ...more,
  });
}

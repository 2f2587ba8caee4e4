import { libraryBuild } from '../../tools/tsup.ts';

/** `import.meta.url`, by which the backends' files are found, in CJS too. */
export default libraryBuild(['src/index.ts'], { shims: true });

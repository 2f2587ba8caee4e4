import Module from 'node:module';

/** Lets Node find only what is installed around a file, and nothing by NODE_PATH, which pnpm sets for its commands. */
export function forgetNodePath(): void {
  delete process.env['NODE_PATH'];
  (Module as unknown as { _initPaths(): void })._initPaths();
}

import { build } from 'tsup';
import config from '../../tsup.config';

/** Builds the program once for all tests. */
export default async function buildProgram(): Promise<void> {
  if (typeof config !== 'function') throw new TypeError('tsup.config.ts: expected a function');
  for (const options of [await config({})].flat()) await build({ ...options, config: false, silent: true });
}

import { activate } from './activate';
import type { StartedBackend } from './choice';
import { createGuard, hostMemoryError } from './guard';

/** Starts the backend in plain JS: right everywhere, and slow. */
export async function startCpu(): Promise<StartedBackend> {
  await activate('cpu');
  return { name: 'cpu', threads: 1, guard: createGuard((error) => hostMemoryError('cpu', error)).guard };
}

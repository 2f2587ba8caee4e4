import { startKernelThreads } from '@sgdiff/nn';
import { BackendError, startBackend as start, type BackendChoice, type BackendRequest } from '@sgdiff/node-backends';
import * as tf from '@tensorflow/tfjs-core';
import { CliError } from './errors';
import { userPath } from './files';

export { BACKENDS, type BackendChoice, type BackendName } from '@sgdiff/node-backends';

/** What a user may ask for. */
export type AskedBackend = Pick<BackendRequest, 'backend' | 'threads' | 'adapter'>;

/**
 * Brings a backend up for a command: the one asked for, else the native add-on where it is installed, else wasm.
 *
 * @throws CliError if the one asked for is unknown, does not start, or cannot be what was asked for.
 */
export async function startBackend(request: AskedBackend = {}): Promise<BackendChoice> {
  tf.env().set('PROD', true); // no advice from tfjs on standard error
  try {
    return await start({ ...request, kernelThreads: startKernelThreads, from: [userPath('.')] });
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    throw new CliError(`${error.message}\n"sgdiff doctor" shows what works here.`, { cause: error });
  }
}

/** Which backend computes on what, e.g. `wasm, 2 threads`. */
export function deviceOf({ name, threads, adapter }: BackendChoice): string {
  return `${name}, ${adapter ?? `${threads} ${threads === 1 ? 'thread' : 'threads'}`}`;
}

/** The same with the reason for it. */
export function describeBackend(choice: BackendChoice): string {
  const { reason, remark } = choice;
  return `${deviceOf(choice)} (${remark === undefined ? reason : `${reason}; ${remark}`})`;
}

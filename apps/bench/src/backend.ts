import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startKernelThreads } from '@sgdiff/nn';
import { BACKENDS, startBackend as start, type BackendChoice } from '@sgdiff/node-backends';
import * as tf from '@tensorflow/tfjs-core';

export { BACKENDS };

/** Brings a backend up; the native add-on is looked for beside this program and in the folder the user stands in. */
export function startBackend(backend: string, threads: number): Promise<BackendChoice> {
  tf.env().set('PROD', true); // no advice from tfjs on standard error
  return start({
    backend,
    threads,
    kernelThreads: startKernelThreads,
    from: [dirname(fileURLToPath(import.meta.url)), process.env['SGDIFF_CWD'] ?? process.cwd()],
  });
}

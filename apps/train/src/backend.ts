import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { pathToFileURL } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import { CliError } from './errors';
import { messageOf } from './files';
import { startWithNodeThreads } from './wasm-threads';

// The one file of this app that imports a tfjs backend. `@tensorflow/tfjs` brings the gradients and the cpu backend.

export const BACKENDS = ['tensorflow', 'wasm', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

export type BackendChoice = {
  readonly name: BackendName;
  /** Threads the backend computes with; 1 where it has none. */
  readonly threads: number;
  /** Why this one, for people. */
  readonly reason: string;
};

export type BackendRequest = { readonly backend?: string; readonly threads?: number };

/** Most threads tfjs' wasm thread pool takes. */
const MAX_WASM_THREADS = 4;

/**
 * Nearly all time goes into the kernels of @sgdiff/nn, which use one thread; tfjs' pool splits the rest, which is too
 * short to gain by it (docs/performance.md). Training uses more cores with --workers.
 */
const DEFAULT_WASM_THREADS = 1;

/**
 * Brings a backend up: the one asked for, else the best available (the native `tensorflow` add-on where it is
 * installed, then wasm).
 *
 * @throws CliError if the one asked for is unknown or does not start.
 */
export async function startBackend(request: BackendRequest = {}): Promise<BackendChoice> {
  const { backend } = request;
  if (backend !== undefined && !isBackend(backend)) {
    throw new CliError(`Unknown backend "${backend}", expected one of: ${BACKENDS.join(', ')}.`);
  }
  await import('@tensorflow/tfjs');
  tf.env().set('PROD', true); // no advice from tfjs on standard error
  if (backend !== undefined) {
    try {
      return await start(backend, 'asked for', request.threads);
    } catch (error) {
      throw new CliError(`The backend "${backend}" does not start: ${messageOf(error)}. "sgdiff doctor" shows what works here.`, {
        cause: error,
      });
    }
  }
  try {
    return await start('tensorflow', 'the native add-on is installed', request.threads);
  } catch {
    return start('wasm', 'the default', request.threads);
  }
}

export function isBackend(name: string): name is BackendName {
  return (BACKENDS as readonly string[]).includes(name);
}

async function start(name: BackendName, reason: string, wanted: number | undefined): Promise<BackendChoice> {
  const threads = wanted ?? (name === 'wasm' ? DEFAULT_WASM_THREADS : availableParallelism());
  if (!Number.isInteger(threads) || threads < 1) {
    throw new CliError(`--threads must be a whole number from 1, received ${threads}.`);
  }
  if (name === 'tensorflow') {
    process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
    process.env['TF_NUM_INTRAOP_THREADS'] ??= String(threads);
    // Optional: found beside this app or in the folder the user stands in, never installed by us.
    const native = resolveOptional('@tensorflow/tfjs-node');
    if (native === undefined) throw new CliError('the package @tensorflow/tfjs-node is not installed');
    createRequire(import.meta.url)(native);
    await activate('tensorflow');
    return { name, threads, reason };
  }
  if (name === 'wasm') {
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    const pool = Math.min(threads, MAX_WASM_THREADS);
    let why = reason;
    if (pool > 1) {
      try {
        await startWithNodeThreads(pool, () => activate('wasm'));
        return { name, threads: wasm.getThreadsCount(), reason };
      } catch (error) {
        why = `${reason}; without threads, which did not start: ${messageOf(error)}`;
      }
    }
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    await activate('wasm');
    return { name, threads: 1, reason: why };
  }
  await activate('cpu');
  return { name, threads: 1, reason };
}

async function activate(name: string): Promise<void> {
  if (!(await tf.setBackend(name))) throw new CliError(`tfjs could not initialise "${name}"`);
  await tf.ready();
}

function resolveOptional(name: string): string | undefined {
  const places = [import.meta.url, pathToFileURL(`${process.env['SGDIFF_CWD'] ?? process.cwd()}/`).href];
  for (const place of places) {
    try {
      return createRequire(place).resolve(name);
    } catch {
      // Not there: look in the next place.
    }
  }
  return undefined;
}

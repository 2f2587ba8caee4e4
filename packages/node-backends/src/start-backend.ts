import { availableParallelism } from 'node:os';
import { BACKENDS, type BackendChoice, type BackendName, type StartedBackend } from './choice';
import { startCpu } from './cpu';
import { BackendError, messageOf } from './errors';
import { startTensorflow } from './tensorflow';
import { startWasm } from './wasm';
import { startWebgpu } from './webgpu';

/** More only take memory, some 10 MB each. */
const MAX_THREADS = 128;

export type BackendRequest = {
  /** One of `BACKENDS`; unless given `tensorflow` where it is installed, else `wasm`. */
  readonly backend?: string;
  /** Threads of wasm and tensorflow; all cores unless given, at most 128. */
  readonly threads?: number;
  /** For webgpu: `high-performance` (default), `low-power`, or a part of the adapter's name. */
  readonly adapter?: string;
  /** Starts threads in the memory of the wasm backend: `startKernelThreads` of @sgdiff/nn. Without it wasm has one thread. */
  readonly kernelThreads?: (threads: number) => Promise<{ readonly threads: number }>;
  /** Folders from which the native add-on is looked for, after the place where this package lies. */
  readonly from?: readonly string[];
};

/**
 * Brings a backend up: the one asked for, else the best that needs no choice of the user.
 *
 * @throws BackendError `unavailable` if the one asked for is unknown, does not start, or cannot be what was asked for.
 */
export async function startBackend(request: BackendRequest = {}): Promise<BackendChoice> {
  const { backend } = request;
  check(request);
  if (backend !== undefined) return { ...(await start(backend as BackendName, request)), reason: 'asked for' };
  try {
    return { ...(await start('tensorflow', request)), reason: 'the native add-on is installed' };
  } catch {
    return { ...(await start('wasm', request)), reason: 'the default' };
  }
}

function check({ backend, threads = 1, adapter, kernelThreads }: BackendRequest): void {
  if (backend !== undefined && !(BACKENDS as readonly string[]).includes(backend)) {
    throw new BackendError('unavailable', `Unknown backend "${backend}", expected one of: ${BACKENDS.join(', ')}.`);
  }
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new BackendError('unavailable', `Expected a whole number of threads from 1 to ${MAX_THREADS}, received ${threads}.`);
  }
  if (threads > 1 && (backend === 'cpu' || backend === 'webgpu' || (backend === 'wasm' && !kernelThreads))) {
    throw new BackendError(
      'unavailable',
      `The backend "${backend}" has one thread, ${threads} were asked for. Leave the number out.`,
    );
  }
  if (adapter !== undefined && backend !== 'webgpu') {
    throw new BackendError(
      'unavailable',
      `The adapter "${adapter}" is for the backend "webgpu": ask for both, or leave the adapter out.`,
    );
  }
}

function start(name: BackendName, { threads, adapter, kernelThreads, from }: BackendRequest): Promise<StartedBackend> {
  switch (name) {
    case 'tensorflow':
      return startTensorflow({ ...(threads === undefined ? {} : { threads }), ...(from ? { from } : {}) });
    case 'webgpu':
      return startWebgpu(adapter === undefined ? {} : { adapter });
    case 'wasm':
      return startWasmWithThreads(kernelThreads ? (threads ?? Math.min(availableParallelism(), MAX_THREADS)) : 1, kernelThreads);
    case 'cpu':
      return startCpu();
  }
}

async function startWasmWithThreads(
  wanted: number,
  kernelThreads: BackendRequest['kernelThreads'],
): Promise<StartedBackend> {
  if (wanted === 1 || !kernelThreads) return startWasm();
  try {
    const backend = await startWasm({ shared: true });
    return { ...backend, threads: (await kernelThreads(wanted)).threads };
  } catch (error) {
    return { ...(await startWasm()), remark: `without threads, which do not start: ${messageOf(error)}` };
  }
}

import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import { activate } from './activate';
import type { StartedBackend } from './choice';
import { BackendError, messageOf } from './errors';
import { createGuard, hostMemoryError, memoryError } from './guard';

export type WasmRequest = {
  /** On a shared memory, in which threads of one's own can compute. tfjs' own operations use one thread either way. */
  readonly shared?: boolean;
};

/** What is used of tfjs' `BackendWasm` (4.22). */
type WasmModule = { _malloc(bytes: number): number; _free(address: number): void; readonly HEAPU8: Uint8Array };

let createBackend: ReturnType<typeof tf.findBackendFactory> | undefined;

/** As far as the memory grows: 4 GiB less a page. */
const HEAP_LIMIT_BYTES = 2 ** 32 - 2 ** 16;

/**
 * Starts tfjs' wasm backend with SIMD. A wasm backend that runs is ended, with its tensors.
 *
 * @throws BackendError `unavailable` if it does not start.
 */
export async function startWasm({ shared = false }: WasmRequest = {}): Promise<StartedBackend> {
  try {
    await (shared ? withoutWorkers(() => start(true)) : start(false));
  } catch (error) {
    if (error instanceof BackendError) throw error;
    throw new BackendError(
      'unavailable',
      `wasm: the ${shared ? 'threaded ' : ''}module does not start: ${messageOf(error)}`,
      { cause: error },
    );
  }
  const { wasm } = tf.backend() as unknown as { wasm: WasmModule };
  refuseNull(wasm);
  return {
    name: 'wasm',
    threads: 1,
    guard: createGuard((error) => hostMemoryError('wasm', error) ?? trapFor(error, wasm)).guard,
  };
}

/** Calls tfjs' factory itself: `tf.setBackend` keeps an error of it to itself. */
async function start(shared: boolean): Promise<void> {
  const { setThreadsCount } = await import('@tensorflow/tfjs-backend-wasm');
  createBackend ??= tf.findBackendFactory('wasm');
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', shared);
  setThreadsCount(1);
  const backend = await createBackend();
  tf.removeBackend('wasm');
  tf.registerBackend('wasm', () => backend);
  await activate('wasm');
}

/** tfjs takes the null that comes when memory is used up for an address, and writes there. */
function refuseNull(wasm: WasmModule): void {
  wasm._free(wasm._malloc(1)); // the first call puts the function itself into the place of a stand-in
  const { _malloc: malloc } = wasm;
  wasm._malloc = (bytes) => {
    const address = bytes > HEAP_LIMIT_BYTES ? 0 : malloc(bytes);
    if (address === 0 && bytes > 0)
      throw memoryError('wasm', `${Math.ceil(bytes / 2 ** 20)} MiB more were asked for; WebAssembly ends at 4 GiB`);
    return address;
  };
}

/** Code within the module that gets no memory traps. While there is memory left a trap has another reason. */
function trapFor(error: unknown, { HEAPU8 }: WasmModule): BackendError | undefined {
  const full = HEAPU8.length > 0.95 * HEAP_LIMIT_BYTES;
  return full && error instanceof WebAssembly.RuntimeError
    ? memoryError('wasm', `${error.message}; WebAssembly ends at 4 GiB`, error)
    : undefined;
}

/**
 * tfjs' threaded build starts eight workers whether it will use them or not, and from Blobs, which Node cannot. It is
 * told that they are there; with one thread it never calls on them.
 */
async function withoutWorkers(work: () => Promise<void>): Promise<void> {
  const threads = createRequire(import.meta.url)('node:worker_threads') as { Worker: unknown };
  const { Worker } = threads;
  const global = Object.getOwnPropertyDescriptor(globalThis, 'Worker');
  threads.Worker = AbsentWorker;
  try {
    await work();
  } finally {
    threads.Worker = Worker;
    if (global) Object.defineProperty(globalThis, 'Worker', global);
    else delete (globalThis as { Worker?: unknown }).Worker;
  }
}

/** Answers that it has loaded, and does nothing. */
class AbsentWorker {
  onmessage: (event: { data: { cmd: string } }) => void = () => undefined;
  postMessage({ cmd }: { cmd: string }): void {
    if (cmd === 'load') setImmediate(() => this.onmessage({ data: { cmd: 'loaded' } }));
  }
  on(): void {}
  ref(): void {}
  unref(): void {}
  terminate(): void {}
}

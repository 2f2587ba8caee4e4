// The one file of this app that imports a tfjs backend. Both come as chunks of their own, so that the one not used is
// not downloaded.
import * as tf from '@tensorflow/tfjs-core';
import threadedUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url';
import simdUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import plainUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import type { BackendReport, LoadRequest } from './protocol';
import { checkBackend } from './self-check';

/** Most threads tfjs' wasm thread pool takes. */
const MAX_WASM_THREADS = 4;

/**
 * Nearly all time goes into the kernels of @sgdiff/nn, which use one thread; the threads of tfjs wait for each other in busy
 * loops, many times per step, for the little that is left.
 */
const USUAL_THREADS = 1;

/** No backend that the page could draw with. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
}

/**
 * Brings up a backend: the one asked for, else WebGPU where a real GPU passes the self-check, else wasm.
 *
 * @throws BackendError saying why each one failed.
 */
export async function startBackend(request: Pick<LoadRequest, 'backend' | 'threads'>): Promise<BackendReport> {
  const { backend: asked, threads = USUAL_THREADS } = request;
  if (asked === 'wasm') return startWasm('asked for', threads);
  const noGpu = asked === 'webgpu' ? undefined : await whyNoGpu();
  const gpuProblem = noGpu ?? (await startWebGpu());
  if (gpuProblem === undefined) return { name: 'webgpu', threads: 1, reason: asked ? 'asked for' : 'a GPU is at hand' };
  if (asked === 'webgpu')
    throw new BackendError(`WebGPU was asked for, but ${gpuProblem}. Open the page without "?backend=webgpu".`);
  return startWasm(gpuProblem, threads);
}

/** Reasons not to try WebGPU that can be told without the backend's code. */
async function whyNoGpu(): Promise<string | undefined> {
  const gpu = (navigator as { gpu?: { requestAdapter(): Promise<GpuAdapter | null> } }).gpu;
  if (!gpu) return isSecureContext ? 'this browser has no WebGPU' : 'WebGPU needs https';
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (!adapter) return 'no GPU is at hand';
  if (adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter)
    return 'the GPU is emulated, which is slower than wasm';
  return undefined;
}

/** What is used of a `GPUAdapter`. */
type GpuAdapter = { readonly isFallbackAdapter?: boolean; readonly info?: { readonly isFallbackAdapter?: boolean } };

/** @returns Why it cannot be used, or undefined when it is up. */
async function startWebGpu(): Promise<string | undefined> {
  try {
    await import('@tensorflow/tfjs-backend-webgpu');
    if (!(await tf.setBackend('webgpu'))) return 'WebGPU did not start';
    const wrong = await checkBackend();
    return wrong === undefined ? undefined : `WebGPU failed its self-check: ${wrong}`;
  } catch (error) {
    return `WebGPU failed: ${messageOf(error)}`;
  }
}

async function startWasm(reason: string, threads: number): Promise<BackendReport> {
  let problem = 'it did not start';
  try {
    const wasm = await import('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths({
      'tfjs-backend-wasm.wasm': plainUrl,
      'tfjs-backend-wasm-simd.wasm': simdUrl,
      'tfjs-backend-wasm-threaded-simd.wasm': threadedUrl,
    });
    // Shared memory, and with it threads, is given to isolated pages alone (headers COOP and COEP).
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', crossOriginIsolated && threads > 1);
    // tfjs' thread pool takes half of the cores it is told of: with two cores it would have no second thread.
    if (await asIfCores(2 * Math.min(threads, MAX_WASM_THREADS), () => tf.setBackend('wasm'))) {
      const wrong = await checkBackend();
      if (wrong === undefined) return { name: 'wasm', threads: wasm.getThreadsCount(), reason };
      problem = wrong;
    }
  } catch (error) {
    problem = messageOf(error);
  }
  throw new BackendError(
    `This browser cannot draw. WebGPU: ${reason}. WebAssembly: ${problem}. A current Chrome, Edge, Firefox or Safari can.`,
  );
}

async function asIfCores<T>(cores: number, start: () => Promise<T>): Promise<T> {
  Object.defineProperty(navigator, 'hardwareConcurrency', { value: cores, configurable: true });
  try {
    return await start();
  } finally {
    delete (navigator as { hardwareConcurrency?: number }).hardwareConcurrency; // Back to the browser's own.
  }
}

function messageOf(error: unknown): string {
  return String((error as { message?: unknown } | undefined)?.message ?? error);
}

// The one file of this app that imports a tfjs backend. Both come as chunks of their own, so that the one not used is
// not downloaded.
import { startKernelThreads } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import threadedUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url';
import simdUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import plainUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url';
import type { BackendReport, LoadRequest } from './protocol';
import { checkBackend } from './self-check';

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
  const { backend: asked, threads = navigator.hardwareConcurrency } = request;
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
    // Threads need a shared memory, which only isolated pages get (headers COOP and COEP).
    const shared = crossOriginIsolated && threads > 1;
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', shared);
    wasm.setThreadsCount(1); // tfjs' own operations are too short to gain by its threads; ours have a pool of their own
    if (await withoutWorkers(() => tf.setBackend('wasm'))) {
      const started = shared ? await kernelThreads(threads) : { threads: 1 };
      const wrong = await checkBackend();
      if (wrong === undefined) {
        return { name: 'wasm', threads: started.threads, reason: [reason, started.problem].filter(Boolean).join('; ') };
      }
      problem = wrong;
    }
  } catch (error) {
    problem = messageOf(error);
  }
  throw new BackendError(
    `This browser cannot draw. WebGPU: ${reason}. WebAssembly: ${problem}. A current Chrome, Edge, Firefox or Safari can.`,
  );
}

async function kernelThreads(threads: number): Promise<{ threads: number; problem?: string }> {
  try {
    return await startKernelThreads(threads);
  } catch (error) {
    return { threads: 1, problem: messageOf(error) };
  }
}

/** tfjs' threaded build starts eight workers whether it will use them or not. It is told that they are there. */
async function withoutWorkers<T>(start: () => Promise<T>): Promise<T> {
  const { Worker } = globalThis;
  globalThis.Worker = AbsentWorker as unknown as typeof Worker;
  try {
    return await start();
  } finally {
    globalThis.Worker = Worker;
  }
}

/** Answers that it has loaded, and does nothing. */
class AbsentWorker {
  onmessage: (event: { data: { cmd: string } }) => void = () => undefined;
  postMessage({ cmd }: { cmd: string }): void {
    if (cmd === 'load') setTimeout(() => this.onmessage({ data: { cmd: 'loaded' } }));
  }
  terminate(): void {}
}

function messageOf(error: unknown): string {
  return String((error as { message?: unknown } | undefined)?.message ?? error);
}

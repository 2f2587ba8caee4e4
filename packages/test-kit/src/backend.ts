import { startWasm, startWebgpu, webgpuAdapters } from '@sgdiff/node-backends';
import * as tf from '@tensorflow/tfjs';

export type TestBackend = 'cpu' | 'wasm' | 'webgpu';

/**
 * Selects the tfjs backend that the tests of a file run on.
 *
 * Imports `@tensorflow/tfjs`, so gradients and chained ops are registered.
 *
 * @param name `cpu` (pure JS, runs everywhere), `wasm` (one thread, SIMD) or `webgpu` (Dawn; a GPU, else SwiftShader).
 * @param options `shared`: starts wasm anew, on a memory that threads can share or on one of its own.
 * @throws Error if the backend does not start.
 */
export async function setupBackend(name: TestBackend, options: { readonly shared?: boolean } = {}): Promise<void> {
  if (name === 'webgpu') {
    await startWebgpu();
    return;
  }
  if (name === 'wasm' && options.shared !== undefined) {
    await startWasm({ shared: options.shared });
    return;
  }
  if (name === 'wasm') await import('@tensorflow/tfjs-backend-wasm');
  const ok = await tf.setBackend(name);
  await tf.ready();
  if (!ok || tf.getBackend() !== name) {
    throw new Error(`setupBackend: expected backend "${name}", received "${tf.getBackend()}".`);
  }
}

/**
 * Why a backend cannot run on this machine; undefined if it can. For the title of what is skipped:
 *
 *     const problem = await backendProblem('webgpu');
 *     describe.skipIf(problem)(`attention on webgpu${problem ? ` (${problem})` : ''}`, …)
 */
export async function backendProblem(name: TestBackend): Promise<string | undefined> {
  if (name !== 'webgpu') return undefined;
  try {
    return (await webgpuAdapters()).length > 0 ? undefined : 'no WebGPU adapter here';
  } catch (error) {
    return (error as Error).message;
  }
}

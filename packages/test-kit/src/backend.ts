import * as tf from '@tensorflow/tfjs';

/**
 * Selects the tfjs backend that the tests of a file run on.
 *
 * Imports `@tensorflow/tfjs`, so gradients and chained ops are registered.
 *
 * @param name `cpu` (pure JS, runs everywhere) or `wasm` (one thread, SIMD).
 * @throws Error if the backend does not start.
 */
export async function setupBackend(name: 'cpu' | 'wasm'): Promise<void> {
  if (name === 'wasm') await import('@tensorflow/tfjs-backend-wasm');
  const ok = await tf.setBackend(name);
  await tf.ready();
  if (!ok || tf.getBackend() !== name) {
    throw new Error(`setupBackend: expected backend "${name}", received "${tf.getBackend()}".`);
  }
}

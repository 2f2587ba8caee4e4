import * as tf from '@tensorflow/tfjs-core';

/**
 * Checks that a function leaves no tensor behind except those it returns.
 *
 * The returned tensors (in any tree of objects and arrays; also anything with `dispose()`) are disposed,
 * then the tensor count must be what it was. If the function throws, the count is checked as well and the
 * error is swallowed: what is asserted here is memory. Call it outside of `tf.tidy`.
 *
 * @throws Error with both counts if tensors were left behind, or taken away.
 */
export async function expectNoLeak(fn: () => unknown): Promise<void> {
  const before = tf.memory().numTensors;
  let outcome = 'returned';
  try {
    disposeTree(await fn());
  } catch (error) {
    outcome = `threw "${error instanceof Error ? error.message : String(error)}"`;
  }
  const after = tf.memory().numTensors;
  if (after !== before) {
    throw new Error(`expectNoLeak: expected ${before} tensors after the function ${outcome}, received ${after}.`);
  }
}

function disposeTree(value: unknown): void {
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return;
  if ('dispose' in value && typeof value.dispose === 'function') {
    value.dispose();
    return;
  }
  for (const child of Object.values(value)) disposeTree(child);
}

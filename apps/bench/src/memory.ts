import * as tf from '@tensorflow/tfjs-core';
import type { MemoryResult } from './result';
import { createTrainer, SMALL } from './steps';

/** Memory after a tenth of the steps and after all. */
export async function* measureMemory(steps: number): AsyncGenerator<Omit<MemoryResult, 'backend' | 'threads'>> {
  const trainer = createTrainer(SMALL);
  try {
    for (let step = 1; step <= steps; step++) {
      const loss = trainer.step();
      await loss.data();
      loss.dispose();
      if (step !== Math.ceil(steps / 10) && step !== steps) continue;
      const { numTensors, numBytes } = tf.memory();
      yield { step, tensors: numTensors, tensorBytes: numBytes, wasmBytes: wasmBytes(), rssBytes: process.memoryUsage().rss };
    }
  } finally {
    trainer.dispose();
  }
}

/** Size of the memory of tfjs' wasm module (4.22), which only ever grows. */
export function wasmBytes(): number | null {
  if (tf.getBackend() !== 'wasm') return null;
  const { HEAPU8 } = (tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } }).wasm;
  return HEAPU8.buffer.byteLength;
}

import * as tf from '@tensorflow/tfjs-core';
import type { WasmBackend } from './backend';
import { PLAIN_BINARY, SHARED_BINARY } from './binary';

/** What the AssemblyScript of `kernels/` exports. All pointers are addresses in the memory of the backend. */
export type SimdKernels = {
  scratchBytes(C: number, K: number): number;
  transformWeights(w: number, u: number, C: number, K: number): void;
  transformTurnedWeights(w: number, u: number, C: number, K: number): void;
  // prettier-ignore
  convolve(x: number, u: number, bias: number, y: number, scratch: number, B: number, H: number, W: number, C: number, h: number, w: number, K: number, top: number, left: number): void;
  // prettier-ignore
  weightGradient(x: number, dy: number, dw: number, u: number, scratch: number, B: number, H: number, W: number, C: number, h: number, w: number, K: number, top: number, left: number): void;
  multiplyScratchBytes(depth: number, columns: number): number;
  // prettier-ignore
  multiply(a: number, aRow: number, b: number, bRow: number, bias: number, out: number, outRow: number, scratch: number, M: number, K: number, N: number): void;
  // prettier-ignore
  multiplyTransposed(a: number, aRow: number, b: number, bRow: number, out: number, outRow: number, scratch: number, M: number, K: number, N: number): void;
  // prettier-ignore
  multiplyOverRows(a: number, aRow: number, b: number, bRow: number, out: number, outRow: number, scratch: number, M: number, K: number, N: number): void;
};

const instances = new WeakMap<object, SimdKernels | null>();

/**
 * Our SIMD kernels on the memory of the running backend; null where that is another backend than wasm, or the
 * environment has no SIMD or lets no such module be compiled: then the plain operations serve.
 */
export function simdKernels(): SimdKernels | null {
  if (tf.getBackend() !== 'wasm') return null;
  const { wasm } = tf.backend() as unknown as WasmBackend;
  let kernels = instances.get(wasm);
  if (kernels === undefined) {
    kernels = instantiate(wasm);
    instances.set(wasm, kernels);
  }
  return kernels;
}

function instantiate(wasm: WasmBackend['wasm']): SimdKernels | null {
  try {
    const memory = wasm.wasmMemory ?? wasm.asm.memory;
    if (!memory) return null;
    const shared = typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
    const bytes = Uint8Array.from(atob(shared ? SHARED_BINARY : PLAIN_BINARY), (char) => char.charCodeAt(0));
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } }).exports as SimdKernels;
  } catch {
    return null;
  }
}

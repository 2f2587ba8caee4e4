import { type WasmBackend, wasmBackend } from './backend';
import { type KernelName, PLAIN_BINARY, SHARED_BINARY } from './binary';

/**
 * What the AssemblyScript of `kernels/` exports; parameters are documented there. All pointers are addresses in the memory
 * of the backend.
 */
export type SimdKernels = Readonly<Record<KernelName, (...args: number[]) => number>>;

const instances = new WeakMap<object, SimdKernels | null>();

/**
 * Our SIMD kernels on the memory of the running backend; null where that is another backend than wasm, or the
 * environment has no SIMD or lets no such module be compiled: then the plain operations serve.
 */
export function simdKernels(): SimdKernels | null {
  const backend = wasmBackend();
  if (!backend) return null;
  const { wasm } = backend;
  let kernels = instances.get(wasm);
  if (kernels === undefined) {
    kernels = instantiate(wasm);
    instances.set(wasm, kernels);
  }
  return kernels;
}

/** The memory of tfjs' module. */
export function memoryOf(wasm: WasmBackend['wasm']): WebAssembly.Memory | undefined {
  return wasm.wasmMemory ?? wasm.asm.memory;
}

/** Our kernels, compiled for a memory of this kind. */
export function kernelModule(memory: WebAssembly.Memory): WebAssembly.Module {
  const shared = typeof SharedArrayBuffer !== 'undefined' && memory.buffer instanceof SharedArrayBuffer;
  return new WebAssembly.Module(Uint8Array.from(atob(shared ? SHARED_BINARY : PLAIN_BINARY), (char) => char.charCodeAt(0)));
}

function instantiate(wasm: WasmBackend['wasm']): SimdKernels | null {
  try {
    const memory = memoryOf(wasm);
    if (!memory) return null;
    return new WebAssembly.Instance(kernelModule(memory), { env: { memory } }).exports as SimdKernels;
  } catch {
    return null;
  }
}

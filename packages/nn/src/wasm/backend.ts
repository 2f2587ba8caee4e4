// The wasm backend of tfjs from within: kernels of our own work on its memory. They reach it through the running backend,
// so that no backend is imported here.
import * as tf from '@tensorflow/tfjs-core';

/** What is used of tfjs' `BackendWasm` (4.22). */
export type WasmBackend = {
  readonly wasm: {
    cwrap(name: string, returns: null, takes: string[]): (...args: (number | boolean | Uint8Array)[]) => void;
    readonly tfjs: {
      registerTensor(id: number, size: number, memoryOffset: number): void;
      disposeData(id: number): void;
    };
    /** With threads; without, the memory is among the exports. */
    readonly wasmMemory?: WebAssembly.Memory;
    readonly asm: { readonly memory?: WebAssembly.Memory };
  };
  readonly dataIdMap: { get(dataId: object): { readonly id: number; readonly memoryOffset: number } };
  dataIdNextNumber: number;
  makeOutput(shape: number[], dtype: 'float32'): tf.TensorInfo;
  typedArrayFromHeap(info: tf.TensorInfo): Float32Array;
  disposeData(dataId: object): boolean;
  dispose(): void;
};

/** The running backend, if that is wasm. */
export function wasmBackend(): WasmBackend | null {
  return tf.getBackend() === 'wasm' ? (tf.backend() as unknown as WasmBackend) : null;
}

export type KernelArgs = { inputs: Record<string, tf.TensorInfo>; backend: unknown; attrs: Record<string, unknown> };

/** Registers a kernel for the wasm backend at its first use. */
export function ensureRegistered(kernelName: string, kernel: (args: KernelArgs) => tf.TensorInfo | tf.TensorInfo[]): void {
  if (tf.getKernel(kernelName, 'wasm')) return;
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: kernel as unknown as tf.KernelFunc });
}

/** Where a tensor's numbers lie. Making a tensor may grow the memory, but moves none. */
export function addressOf(backend: WasmBackend, { dataId }: tf.TensorInfo): number {
  return backend.dataIdMap.get(dataId).memoryOffset;
}

/** Runs `work` with memory of so many bytes that is free again afterwards. */
export function withScratch(backend: WasmBackend, bytes: number, work: (address: number) => void): void {
  const scratch = backend.makeOutput([Math.ceil(bytes / 4)], 'float32');
  try {
    work(addressOf(backend, scratch));
  } finally {
    backend.disposeData(scratch.dataId);
  }
}

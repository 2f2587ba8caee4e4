// Kernels for the wasm backend, made of its own XNNPACK calls and its own memory. They reach it through the running
// backend, so that no backend is imported here.
import * as tf from '@tensorflow/tfjs-core';

/** What is used of tfjs' `BackendWasm` (4.22). */
type WasmBackend = {
  readonly wasm: {
    cwrap(name: string, returns: null, takes: string[]): (...args: (number | boolean | Uint8Array)[]) => void;
    readonly tfjs: {
      registerTensor(id: number, size: number, memoryOffset: number): void;
      disposeData(id: number): void;
    };
  };
  readonly dataIdMap: { get(dataId: object): { readonly id: number; readonly memoryOffset: number } };
  dataIdNextNumber: number;
  makeOutput(shape: number[], dtype: 'float32'): tf.TensorInfo;
  typedArrayFromHeap(info: tf.TensorInfo): Float32Array;
};

type KernelArgs = { inputs: Record<string, tf.TensorInfo>; backend: unknown; attrs: Record<string, unknown> };

const BATCH_MAT_MUL = 'SgdiffBatchMatMul';
const SPLIT_FLAT = 'SgdiffSplitFlat';

/**
 * `a · b` for each element of a batch, each as one plain 2-D product in place: tfjs on wasm multiplies batches in a
 * plain loop at 1.4 GFLOP/s, single products with XNNPACK at 28 and more. No gradient.
 *
 * @param a `[n, N, K]`. @param b `[n, K, M]`. Both float32.
 * @returns `[n, N, M]`. The caller disposes it.
 */
export function wasmBatchMatMul(a: tf.Tensor3D, b: tf.Tensor3D): tf.Tensor3D {
  ensureRegistered(BATCH_MAT_MUL, batchMatMulKernel);
  return tf.engine().runKernel(BATCH_MAT_MUL, { a, b }) as tf.Tensor3D;
}

/** Pieces of a vector, in order: tfjs' slice on wasm copies the whole input for each piece. No gradient. */
export function wasmSplitFlat(x: tf.Tensor1D, sizes: number[]): tf.Tensor1D[] {
  ensureRegistered(SPLIT_FLAT, splitFlatKernel);
  const parts: unknown = tf.engine().runKernel(SPLIT_FLAT, { x }, { sizes });
  return parts as tf.Tensor1D[];
}

function ensureRegistered(kernelName: string, kernel: (args: KernelArgs) => tf.TensorInfo | tf.TensorInfo[]): void {
  if (tf.getKernel(kernelName, 'wasm')) return;
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: kernel as unknown as tf.KernelFunc });
}

const matMuls = new WeakMap<object, (...args: (number | boolean | Uint8Array)[]) => void>();

function batchMatMulKernel({ inputs, backend }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const [n, N, K] = a.shape as [number, number, number];
  const M = b.shape[2]!;
  const out = wasm.makeOutput([n, N, M], 'float32');
  let matMul = matMuls.get(wasm.wasm);
  if (!matMul) {
    const takes = ['number', 'array', 'number', 'number', 'array', 'number', 'number', 'number', 'number'];
    matMul = wasm.wasm.cwrap('BatchMatMul', null, takes);
    matMuls.set(wasm.wasm, matMul);
  }
  const aShape = new Uint8Array(Int32Array.of(1, N, K).buffer);
  const bShape = new Uint8Array(Int32Array.of(1, K, M).buffer);
  // Each product sees its part of the three tensors under ids of its own, forgotten right after.
  const { tfjs } = wasm.wasm;
  const view = (info: tf.TensorInfo, index: number, size: number): number => {
    const id = wasm.dataIdNextNumber++;
    tfjs.registerTensor(id, size, wasm.dataIdMap.get(info.dataId).memoryOffset + index * size * 4);
    return id;
  };
  for (let i = 0; i < n; i++) {
    const ids = [view(a, i, N * K), view(b, i, K * M), view(out, i, N * M)] as const;
    matMul(ids[0], aShape, 3, ids[1], bShape, 3, false, false, ids[2]);
    for (const id of ids) tfjs.disposeData(id);
  }
  return out;
}

function splitFlatKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const x = inputs.x!;
  const parts = (attrs.sizes as number[]).map((size) => wasm.makeOutput([size], 'float32'));
  // Views only after all outputs are made: making one may move the heap's buffer.
  const values = wasm.typedArrayFromHeap(x);
  let at = 0;
  for (const part of parts) {
    const size = part.shape[0]!;
    wasm.typedArrayFromHeap(part).set(values.subarray(at, at + size));
    at += size;
  }
  return parts;
}

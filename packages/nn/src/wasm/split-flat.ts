import * as tf from '@tensorflow/tfjs-core';
import { ensureRegistered, type KernelArgs, type WasmBackend } from './backend';

const SPLIT_FLAT = 'SgdiffSplitFlat';

/** Pieces of a vector, in order: tfjs' slice on wasm copies the whole input for each piece. No gradient. */
export function wasmSplitFlat(x: tf.Tensor1D, sizes: number[]): tf.Tensor1D[] {
  ensureRegistered(SPLIT_FLAT, splitFlatKernel);
  const parts: unknown = tf.engine().runKernel(SPLIT_FLAT, { x }, { sizes });
  return parts as tf.Tensor1D[];
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

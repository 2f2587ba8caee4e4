import * as tf from '@tensorflow/tfjs-core';
import { ensureRegistered, type KernelArgs, type WasmBackend } from './backend';

const JOIN_FLAT = 'SgdiffJoinFlat';

/** All numbers of some tensors as one vector, in memory of its own, of a single tensor too. No gradient. */
export function wasmJoinFlat(tensors: readonly tf.Tensor[]): tf.Tensor1D {
  ensureRegistered(JOIN_FLAT, joinFlatKernel);
  return tf.engine().runKernel(JOIN_FLAT, Object.fromEntries(tensors.entries())) as tf.Tensor1D;
}

function joinFlatKernel({ inputs, backend }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const tensors = Object.values(inputs); // numbers as keys keep their order
  const sizes = tensors.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  const joined = wasm.makeOutput([sizes.reduce((a, b) => a + b, 0)], 'float32');
  const values = wasm.typedArrayFromHeap(joined);
  let at = 0;
  tensors.forEach((tensor, i) => {
    values.set(wasm.typedArrayFromHeap(tensor), at);
    at += sizes[i]!;
  });
  return joined;
}

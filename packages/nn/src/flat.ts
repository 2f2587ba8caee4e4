import * as tf from '@tensorflow/tfjs-core';
import { wasmSplitFlat } from './wasm-kernels';

/** All tensors as one vector, so that an optimiser runs ten kernels instead of ten per weight. */
export function joinFlat(tensors: readonly tf.Tensor[]): tf.Tensor1D {
  return tf.tidy(() => tf.concat1d(tensors.map((tensor) => tf.reshape(tensor, [tensor.size]) as tf.Tensor1D)));
}

/** The inverse of `joinFlat`: pieces with the shapes of `like`. */
export function splitFlat(flat: tf.Tensor1D, like: readonly { readonly shape: number[]; readonly size: number }[]): tf.Tensor[] {
  return tf.tidy(() => {
    const sizes = like.map(({ size }) => size);
    // On wasm every slice copies the whole vector first (its kernel reads it back), which costs a copy of all weights
    // per weight: 300 ms for 150 pieces of 1.3 M numbers. Reading back once costs one copy.
    if (tf.getBackend() === 'wasm') return cut(flat.dataSync<'float32'>(), like);
    const parts = sizes.length === 1 ? [flat] : tf.getBackend() === 'wasm' ? wasmSplitFlat(flat, sizes) : tf.split(flat, sizes);
    return parts.map((part, i) => tf.reshape(part, like[i]!.shape));
  });
}

function cut(values: Float32Array, like: readonly { readonly shape: number[]; readonly size: number }[]): tf.Tensor[] {
  let begin = 0;
  return like.map(({ shape, size }) => {
    const part = values.subarray(begin, begin + size);
    begin += size;
    return tf.tensor(part, shape, 'float32');
  });
}

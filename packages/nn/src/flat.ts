import * as tf from '@tensorflow/tfjs-core';
import { wasmSplitFlat } from './wasm-kernels';

/** All tensors as one vector, so that an optimiser runs ten kernels instead of ten per weight. */
export function joinFlat(tensors: readonly tf.Tensor[]): tf.Tensor1D {
  return tf.tidy(() => tf.concat1d(tensors.map((tensor) => tf.reshape(tensor, [tensor.size]) as tf.Tensor1D)));
}

/** The inverse of `joinFlat`: pieces with the shapes of `like`. */
export function splitFlat(
  flat: tf.Tensor1D,
  like: readonly { readonly shape: number[]; readonly size: number }[],
): tf.Tensor[] {
  return tf.tidy(() => {
    const sizes = like.map(({ size }) => size);
    if (sizes.length === 1) return [tf.reshape(flat, like[0]!.shape)];
    const parts = tf.getBackend() === 'wasm' ? wasmSplitFlat(flat, sizes) : tf.split(flat, sizes);
    return parts.map((part, i) => tf.reshape(part, like[i]!.shape));
  });
}

import * as tf from '@tensorflow/tfjs-core';
import { sumAll } from './sums';
import { wasmJoinFlat } from './wasm/join-flat';
import { wasmSplitFlat } from './wasm/split-flat';
import { hasWebgpu } from './webgpu/backend';
import { webgpuSplitFlat } from './webgpu/split-flat';

type FlatCopy = { readonly flat: tf.Tensor1D; readonly dataIds: readonly object[] };

/** Vectors that hold the present values of some variables, by the first of these. */
const flatCopies = new WeakMap<tf.Tensor, FlatCopy>();

/** Remembers that `flat` holds the values of these variables, until one of them is assigned or `flat` is disposed. */
export function rememberFlat(variables: readonly tf.Tensor[], flat: tf.Tensor1D): void {
  if (variables[0]) flatCopies.set(variables[0], { flat, dataIds: variables.map(({ dataId }) => dataId) });
}

/**
 * All tensors as one vector, so that an optimiser runs ten kernels instead of ten per weight. On wasm its memory is its own,
 * elsewhere it may be shared with a tensor. The caller disposes it.
 */
export function joinFlat(tensors: readonly tf.Tensor[]): tf.Tensor1D {
  if (tf.getBackend() === 'wasm') return wasmJoinFlat(tensors);
  const copy = tensors[0] && flatCopies.get(tensors[0]);
  const fresh =
    copy &&
    !copy.flat.isDisposed &&
    copy.dataIds.length === tensors.length &&
    copy.dataIds.every((dataId, i) => dataId === tensors[i]!.dataId);
  if (fresh) return tf.clone(copy.flat);
  return tf.tidy(() => tf.concat1d(tensors.map((tensor) => tf.reshape(tensor, [tensor.size]) as tf.Tensor1D)));
}

/** The inverse of `joinFlat`: pieces with the shapes of `like`, on wasm with memory of their own. */
export function splitFlat(
  flat: tf.Tensor1D,
  like: readonly { readonly shape: number[]; readonly size: number }[],
): tf.Tensor[] {
  return tf.tidy(() => {
    const sizes = like.map(({ size }) => size);
    return pieces(flat, sizes).map((part, i) => tf.reshape(part, like[i]!.shape));
  });
}

function pieces(flat: tf.Tensor1D, sizes: number[]): tf.Tensor[] {
  if (tf.getBackend() === 'wasm') return wasmSplitFlat(flat, sizes);
  return hasWebgpu() ? webgpuSplitFlat(flat, sizes) : tf.split(flat, sizes);
}

/** The vector scaled to a Euclidean norm of at most `maxNorm`, and its norm before. The caller disposes both. */
export function clipFlat(flat: tf.Tensor1D, maxNorm: number): { flat: tf.Tensor1D; norm: tf.Scalar } {
  return tf.tidy(() => {
    const norm = tf.sqrt(sumAll(tf.mul(flat, flat))) as tf.Scalar;
    const factor = tf.minimum(1, tf.div(maxNorm, tf.add(norm, 1e-6))); // 1e-6 as in PyTorch
    return { flat: tf.mul(flat, factor) as tf.Tensor1D, norm };
  });
}

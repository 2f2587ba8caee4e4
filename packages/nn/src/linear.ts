// Shapes: I input width, O output width, N rows.
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import type { Rng } from './rng';
import { hasWasmKernels, wasmMultiply, wasmMultiplyOverRows, wasmMultiplyTransposed } from './wasm/multiply';
import { wasmSumRows } from './wasm/sum-rows';
import { hasWebgpu } from './webgpu/backend';
import { webgpuMultiply, webgpuMultiplyOverRows, webgpuMultiplyTransposed } from './webgpu/multiply';
import { webgpuSumRows } from './webgpu/row-sums';

/** Weights of a linear layer: weight `[I, O]` (the transpose of PyTorch's), bias `[O]`. */
export type LinearParams = { readonly weight: tf.Tensor2D; readonly bias?: tf.Tensor1D };

export type InitOptions = {
  readonly bias?: boolean;
  /** Factor on the initial values; 0 starts at zero. */
  readonly gain?: number;
};

/** Fresh weights, uniform in ±gain/sqrt(I) as in PyTorch. */
export function initLinear(inWidth: number, outWidth: number, rng: Rng, options: InitOptions = {}): LinearParams {
  const { bias = true, gain = 1 } = options;
  const bound = gain / Math.sqrt(inWidth);
  const weight = tf.tensor2d(uniformAround(inWidth * outWidth, bound, rng), [inWidth, outWidth]);
  return bias ? { weight, bias: tf.tensor1d(uniformAround(outWidth, bound, rng)) } : { weight };
}

/**
 * Affine map of the last axis.
 *
 * @param x `[..., I]`, float32.
 * @returns `[..., O]`. The caller disposes it.
 * @throws ShapeError if the last axis of `x` is not I.
 */
export function linear<R extends tf.Rank>(params: LinearParams, x: tf.Tensor<R>): tf.Tensor<R> {
  const [I] = params.weight.shape;
  if (x.rank < 1 || x.shape[x.rank - 1] !== I) {
    throw new ShapeError(`linear: expected x of shape [..., ${I}], received [${x.shape.join(', ')}].`);
  }
  return affine('linear', x, params.weight, params.bias) as tf.Tensor<R>;
}

/**
 * The last axis of `x` times a matrix, plus a bias, as one operation with its own gradient: tfjs' gradients set
 * transpose flags, which on wasm leave the fast path (1.9 instead of 27 GFLOP/s).
 *
 * @param where Name of the operation, for messages. @param x `[..., I]`. @param weight `[..., I, O]` with leading ones. @param bias `[O]`.
 * @returns `[..., O]`. The caller disposes it.
 */
export function affine(where: string, x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor1D | undefined): tf.Tensor {
  const [I, O] = weight.shape.slice(-2) as [number, number];
  return withGradient<tf.Tensor>(
    where,
    { x, weight, bias },
    (save) => {
      save([x, weight]);
      return reshaped(multiplyAdd(asMatrix(x, I), asMatrix(weight, O), bias), [...x.shape.slice(0, -1), O]);
    },
    (dy, saved) => {
      const [x2, weight2] = saved as [tf.Tensor, tf.Tensor];
      const rows = asMatrix(dy, O); // [N, O]
      const dx = reshaped(timesTransposed(rows, asMatrix(weight2, O)), x2.shape);
      const dw = reshaped(productOverRows(asMatrix(x2, I), rows), weight2.shape);
      return bias ? [dx, dw, sumRows(rows)] : [dx, dw];
    },
  );
}

/** `a · b (+ bias)`, `[N, I]` and `[I, O]` -> `[N, O]`. */
export function multiplyAdd(a: tf.Tensor2D, b: tf.Tensor2D, bias: tf.Tensor1D | undefined): tf.Tensor2D {
  if (hasWasmKernels()) return wasmMultiply(a, b, bias);
  if (hasWebgpu()) return webgpuMultiply(a, b, bias);
  return bias ? tf.add(tf.matMul(a, b), bias) : tf.matMul(a, b);
}

/** `a · bᵀ`, `[N, O]` and `[I, O]` -> `[N, I]`. */
export function timesTransposed(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  if (hasWasmKernels()) return wasmMultiplyTransposed(a, b);
  return hasWebgpu() ? webgpuMultiplyTransposed(a, b) : tf.matMul(a, b, false, true);
}

/** `aᵀ · b`, `[N, I]` and `[N, O]` -> `[I, O]`. */
export function productOverRows(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  if (hasWasmKernels()) return wasmMultiplyOverRows(a, b);
  return hasWebgpu() ? webgpuMultiplyOverRows(a, b) : tf.matMul(a, b, true, false);
}

/** Sum over the rows, `[N, O]` -> `[O]`. */
export function sumRows(x: tf.Tensor2D): tf.Tensor1D {
  if (hasWasmKernels()) return wasmSumRows(x);
  return hasWebgpu() ? webgpuSumRows(x) : tf.sum(x, 0);
}

function asMatrix(x: tf.Tensor, width: number): tf.Tensor2D {
  return reshaped(x, [x.size / width, width]) as tf.Tensor2D;
}

/** A reshape is an operation like others on some backends: none where the shape is right. */
function reshaped(x: tf.Tensor, shape: number[]): tf.Tensor {
  return x.shape.join() === shape.join() ? x : tf.reshape(x, shape);
}

export function uniformAround(length: number, bound: number, rng: Rng): Float32Array {
  const values = rng.fillUniform(new Float32Array(length));
  for (let i = 0; i < length; i++) values[i] = (2 * values[i]! - 1) * bound;
  return values;
}

// Products of matrices as 1×1 convolutions and their gradients. tfjs' matMul with a transposed second factor is wrong on webgpu
// (4.22) where the depth is 2000 or more, in fours, and the result small; and it adds with atomics there, in any order.
import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { conv2d } from './conv2d';
import { convInputGradient } from './conv-input-gradient';
import { convWeightGradient } from './conv-weight-gradient';

/** `a b (+ bias)`, `[M, K]` and `[K, N]` -> `[M, N]`. No gradient. The caller disposes it. */
export function webgpuMultiply(a: tf.Tensor2D, b: tf.Tensor2D, bias?: tf.Tensor1D): tf.Tensor2D {
  return runKernel('SgdiffMultiply', multiply, bias ? { a, b, bias } : { a, b }, {})[0] as tf.Tensor2D;
}

/** `a bᵀ`, `[M, K]` and `[N, K]` -> `[M, N]`. No gradient. The caller disposes it. */
export function webgpuMultiplyTransposed(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return runKernel('SgdiffMultiplyTransposed', multiplyTransposed, { a, b }, {})[0] as tf.Tensor2D;
}

/** `aᵀ b`, `[M, K]` and `[M, N]` -> `[K, N]`. No gradient. The caller disposes it. */
export function webgpuMultiplyOverRows(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return runKernel('SgdiffMultiplyOverRows', multiplyOverRows, { a, b }, {})[0] as tf.Tensor2D;
}

const multiply: WebgpuKernel<object> = (backend, { a, b, bias }) => {
  const [M, K] = a!.shape as [number, number];
  const N = b!.shape[1]!;
  const inputs = { x: { ...a!, shape: [1, M, 1, K] }, weight: { ...b!, shape: [1, 1, K, N] }, ...(bias && { bias }) };
  const [out] = conv2d(backend, inputs, { stride: 1, top: 0, bottom: 0, left: 0, right: 0 });
  return [{ ...out!, shape: [M, N] }];
};

const multiplyTransposed: WebgpuKernel<object> = (backend, { a, b }) => {
  const [M, K] = a!.shape as [number, number];
  const N = b!.shape[0]!;
  const inputs = { dy: { ...a!, shape: [1, M, 1, K] }, weight: { ...b!, shape: [1, 1, N, K] } };
  const [out] = convInputGradient(backend, inputs, { H: M, W: 1, stride: 1, top: 0, left: 0 });
  return [{ ...out!, shape: [M, N] }];
};

const multiplyOverRows: WebgpuKernel<object> = (backend, { a, b }) => {
  const [M, K] = a!.shape as [number, number];
  const N = b!.shape[1]!;
  const inputs = { x: { ...a!, shape: [1, M, 1, K] }, dy: { ...b!, shape: [1, M, 1, N] } };
  const [out] = convWeightGradient(backend, inputs, { kernel: [1, 1], stride: 1, top: 0, left: 0 });
  return [{ ...out!, shape: [K, N] }];
};

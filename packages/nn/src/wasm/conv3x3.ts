// Shapes: B batch, H W input sides, h w output sides, C input channels, K output channels.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';

const CONV = 'SgdiffConv3x3';
const WEIGHT_GRADIENT = 'SgdiffConv3x3WeightGradient';

type Sides = { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number };

/** Whether the kernels here can do a convolution with these weights `[kh, kw, C, K]`. */
export function hasWasmConv3x3(weightShape: readonly number[], stride: number): boolean {
  const [kh, kw, C, K] = weightShape as [number, number, number, number];
  return kh === 3 && kw === 3 && stride === 1 && C % 4 === 0 && K % 4 === 0 && simdKernels() !== null;
}

/**
 * 3×3 convolution with stride 1 by Winograd's method: 2.25 times fewer products. No gradient.
 *
 * @param x `[B, H, W, C]`. @param weight `[3, 3, C, K]`. @param bias `[K]`.
 * @param sides Rows and columns of zeros around x; negative to leave some of x out at the top and left.
 * @returns `[B, H + top + bottom - 2, W + left + right - 2, K]`. The caller disposes it.
 * @see arXiv:1509.09308
 */
export function wasmConv3x3(x: tf.Tensor4D, weight: tf.Tensor4D, bias: tf.Tensor1D | undefined, sides: Sides): tf.Tensor4D {
  ensureRegistered(CONV, convKernel);
  return tf.engine().runKernel(CONV, bias ? { x, weight, bias } : { x, weight }, { ...sides, turned: false }) as tf.Tensor4D;
}

/**
 * The gradient of `wasmConv3x3` with respect to x: a convolution of `dy` with the kernels turned by half.
 *
 * @param dy `[B, h, w, K]`. @param sides Those of the convolution. @returns `[B, H, W, C]`. The caller disposes it.
 */
export function wasmConv3x3InputGradient(dy: tf.Tensor4D, weight: tf.Tensor4D, sides: Sides): tf.Tensor4D {
  ensureRegistered(CONV, convKernel);
  const { top, bottom, left, right } = sides;
  const opposite = { top: 2 - top, bottom: 2 - bottom, left: 2 - left, right: 2 - right };
  return tf.engine().runKernel(CONV, { x: dy, weight }, { ...opposite, turned: true }) as tf.Tensor4D;
}

/**
 * The gradient of `wasmConv3x3` with respect to the weights.
 *
 * @param x `[B, H, W, C]`. @param dy `[B, h, w, K]`. @returns `[3, 3, C, K]`. The caller disposes it.
 */
export function wasmConv3x3WeightGradient(x: tf.Tensor4D, dy: tf.Tensor4D, { top, left }: Sides): tf.Tensor4D {
  ensureRegistered(WEIGHT_GRADIENT, weightGradientKernel);
  return tf.engine().runKernel(WEIGHT_GRADIENT, { x, dy }, { top, left }) as tf.Tensor4D;
}

function convKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, weight, bias } = inputs as { x: tf.TensorInfo; weight: tf.TensorInfo; bias?: tf.TensorInfo };
  const { top, bottom, left, right, turned } = attrs as Sides & { turned: boolean };
  const [B, H, W, C] = x.shape as [number, number, number, number];
  const K = weight.shape[turned ? 2 : 3]!;
  const [h, w] = [H + top + bottom - 2, W + left + right - 2];
  const y = wasm.makeOutput([B, h, w, K], 'float32');
  const kernels = simdKernels() as SimdKernels;
  const scratch = kernels.scratchBytes(C, K);
  withScratch(wasm, scratch + transformedBytes(C, K), (address) => {
    const u = address + scratch;
    if (turned) kernels.transformTurnedWeights(addressOf(wasm, weight), u, K, C);
    else kernels.transformWeights(addressOf(wasm, weight), u, C, K);
    const shift = bias ? addressOf(wasm, bias) : 0;
    kernels.convolve(addressOf(wasm, x), u, shift, addressOf(wasm, y), address, B, H, W, C, h, w, K, top, left);
  });
  return y;
}

function weightGradientKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, dy } = inputs as { x: tf.TensorInfo; dy: tf.TensorInfo };
  const { top, left } = attrs as { top: number; left: number };
  const [B, H, W, C] = x.shape as [number, number, number, number];
  const [, h, w, K] = dy.shape as [number, number, number, number];
  const dw = wasm.makeOutput([3, 3, C, K], 'float32');
  const kernels = simdKernels() as SimdKernels;
  const scratch = kernels.scratchBytes(C, K);
  withScratch(wasm, scratch + transformedBytes(C, K), (address) => {
    const [from, to, out] = [addressOf(wasm, x), addressOf(wasm, dy), addressOf(wasm, dw)];
    kernels.weightGradient(from, to, out, address + scratch, address, B, H, W, C, h, w, K, top, left);
  });
  return dw;
}

/** 16 numbers per kernel, the output channels rounded up to 8. */
function transformedBytes(C: number, K: number): number {
  return 16 * C * Math.ceil(K / 8) * 8 * 4;
}

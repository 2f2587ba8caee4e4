// Convolutions that Winograd's method does not serve: other kernels, strides and channel counts.
// Shapes: B batch, H W input sides, h w output sides, C input channels, K output channels, P = kh kw C.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { withPanels } from './multiply';
import { runRanges } from './threads';

const CONV = 'SgdiffConv2d';
const INPUT_GRADIENT = 'SgdiffConv2dInputGradient';
const WEIGHT_GRADIENT = 'SgdiffConv2dWeightGradient';

/** Parts of the sum over all positions that threads may take apart: so many at most, of so many positions at least. */
const PARTS = 8;
const POSITIONS_OF_PART = 256;

type Sides = { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number };
type Attrs = { readonly stride: number; readonly top: number; readonly left: number };

/**
 * Convolution of any kernel and stride. No gradient.
 *
 * @param x `[B, H, W, C]`. @param weight `[kh, kw, C, K]`. @param bias `[K]`. @param sides Rows and columns of zeros around x.
 * @returns `[B, h, w, K]`. The caller disposes it.
 */
export function wasmConv2d(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor1D | undefined,
  stride: number,
  sides: Sides,
): tf.Tensor4D {
  ensureRegistered(CONV, convKernel);
  const [kh, kw] = weight.shape;
  const h = Math.floor((x.shape[1] + sides.top + sides.bottom - kh) / stride) + 1;
  const w = Math.floor((x.shape[2] + sides.left + sides.right - kw) / stride) + 1;
  const attrs = { stride, top: sides.top, left: sides.left, h, w };
  return tf.engine().runKernel(CONV, bias ? { x, weight, bias } : { x, weight }, attrs) as tf.Tensor4D;
}

/** The gradient of `wasmConv2d` with respect to x. @param dy `[B, h, w, K]`. @returns `shape`. The caller disposes it. */
export function wasmConv2dInputGradient(
  dy: tf.Tensor4D,
  weight: tf.Tensor4D,
  shape: readonly number[],
  stride: number,
  { top, left }: Sides,
): tf.Tensor4D {
  ensureRegistered(INPUT_GRADIENT, inputGradientKernel);
  return tf.engine().runKernel(INPUT_GRADIENT, { dy, weight }, { stride, top, left, shape: [...shape] }) as tf.Tensor4D;
}

/** The gradient of `wasmConv2d` with respect to the weights. @returns `[kh, kw, C, K]`. The caller disposes it. */
export function wasmConv2dWeightGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  kernel: readonly [number, number],
  stride: number,
  { top, left }: Sides,
): tf.Tensor4D {
  ensureRegistered(WEIGHT_GRADIENT, weightGradientKernel);
  return tf.engine().runKernel(WEIGHT_GRADIENT, { x, dy }, { stride, top, left, kernel: [...kernel] }) as tf.Tensor4D;
}

function convKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, weight, bias } = inputs as { x: tf.TensorInfo; weight: tf.TensorInfo; bias?: tf.TensorInfo };
  const { stride, top, left, h, w } = attrs as Attrs & { h: number; w: number };
  const [B, H, W, C] = x.shape as [number, number, number, number];
  const [kh, kw, , K] = weight.shape as [number, number, number, number];
  const P = kh * kw * C;
  const y = wasm.makeOutput([B, h, w, K], 'float32');
  withPanels(wasm, weight, P, K, false, bias, (panels, shift) => {
    const args = [addressOf(wasm, x), panels, shift, addressOf(wasm, y), H, W, C, h, w, K, kh, kw, stride, top, left];
    runRanges(wasm, 'convolvePatches', args, {
      total: B * h,
      itemWork: 2 * w * P * K,
      scratchBytes: (simdKernels() as SimdKernels).patchesScratchBytes(P),
    });
  });
  return y;
}

function inputGradientKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { dy, weight } = inputs as { dy: tf.TensorInfo; weight: tf.TensorInfo };
  const { stride, top, left, shape } = attrs as Attrs & { shape: number[] };
  const [B, H, W, C] = shape as [number, number, number, number];
  const [, h, w, K] = dy.shape as [number, number, number, number];
  const [kh, kw] = weight.shape as [number, number];
  const P = kh * kw * C;
  const dx = wasm.makeOutput(shape, 'float32');
  withPanels(wasm, weight, K, P, true, undefined, (panels) => {
    const args = [addressOf(wasm, dy), panels, addressOf(wasm, dx), H, W, C, h, w, K, kh, kw, stride, top, left];
    runRanges(wasm, 'patchesInputGradient', args, {
      total: B,
      itemWork: 2 * h * w * P * K,
      scratchBytes: (simdKernels() as SimdKernels).patchesScratchBytes(P),
    });
  });
  return dx;
}

function weightGradientKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, dy } = inputs as { x: tf.TensorInfo; dy: tf.TensorInfo };
  const { stride, top, left, kernel } = attrs as Attrs & { kernel: [number, number] };
  const [kh, kw] = kernel;
  const [B, H, W, C] = x.shape as [number, number, number, number];
  const [, h, w, K] = dy.shape as [number, number, number, number];
  const size = kh * kw * C * K;
  const dw = wasm.makeOutput([kh, kw, C, K], 'float32');
  const parts = Math.max(1, Math.min(PARTS, Math.floor((B * h * w) / POSITIONS_OF_PART)));
  withScratch(wasm, parts * size * 4, (sums) => {
    const args = [addressOf(wasm, x), addressOf(wasm, dy), sums, parts, B, H, W, C, h, w, K, kh, kw, stride, top, left];
    runRanges(wasm, 'patchesWeightGradient', args, {
      total: parts,
      grain: 1,
      scratchBytes: (simdKernels() as SimdKernels).patchesWeightScratchBytes(kh * kw * C, K),
    });
    runRanges(wasm, 'sumParts', [sums, addressOf(wasm, dw), parts, size], { total: size, itemWork: parts, rangesStartAt: 4 });
  });
  return dw;
}

// Shapes: B batch, H W input sides, h w output sides, C input channels, K output channels.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const CONV = 'SgdiffConv3x3';
const WEIGHT_GRADIENT = 'SgdiffConv3x3WeightGradient';

/** So few tiles go by channels. */
const FEW_TILES = 128;
/** Ranges of channels begin at multiples of this: two lines of the cache. */
const CHANNELS = 32;

/** Parts of the sum over all tiles that threads may take apart: so many at most, of so many tiles at least, within so many bytes. */
const PARTS = 8;
const TILES_OF_PART = 32;
const BYTES_OF_PARTS = 2 ** 25;

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
  const [from, shift, to] = [addressOf(wasm, weight), bias ? addressOf(wasm, bias) : 0, addressOf(wasm, y)];
  const tiles = tilesOf(B, h, w);
  if (tiles <= FEW_TILES) {
    withScratch(wasm, transformedBytes(Math.ceil(tiles / 4) * 4, C), (v) => {
      runRanges(wasm, 'transformImage', [addressOf(wasm, x), v, tiles, H, W, C, h, w, top, left], {
        total: tiles,
        itemWork: 100 * C,
        scratchBytes: kernels.transformImageScratchBytes(C),
      });
      runRanges(wasm, 'convolveByChannels', [v, from, Number(turned), shift, to, tiles, C, h, w, K], {
        total: K,
        itemWork: (32 * tiles + 100) * C,
        rangesStartAt: CHANNELS,
        scratchBytes: kernels.byChannelsScratchBytes(tiles),
      });
    });
    return y;
  }
  withScratch(wasm, transformedBytes(C, K), (u) => {
    if (turned) runRanges(wasm, 'transformTurnedWeights', [from, u, K, C], { total: C, itemWork: 100 * K });
    else runRanges(wasm, 'transformWeights', [from, u, C, K], { total: C, itemWork: 100 * K });
    runRanges(wasm, 'convolve', [addressOf(wasm, x), u, shift, to, H, W, C, h, w, K, top, left], {
      total: tiles,
      itemWork: 32 * C * K,
      rangesStartAt: kernels.tilesOfBlock(),
      scratchBytes: kernels.convolveScratchBytes(C, K),
    });
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
  const most = Math.min(PARTS, tilesOf(B, h, w) / TILES_OF_PART, BYTES_OF_PARTS / transformedBytes(C, K));
  const parts = Math.max(1, Math.floor(most));
  withScratch(wasm, parts * transformedBytes(C, K), (u) => {
    const args = [addressOf(wasm, x), addressOf(wasm, dy), u, parts, B, H, W, C, h, w, K, top, left];
    runRanges(wasm, 'weightGradient', args, {
      total: parts,
      grain: 1,
      scratchBytes: (simdKernels() as SimdKernels).convolveScratchBytes(C, K),
    });
    runRanges(wasm, 'foldWeightGradient', [u, addressOf(wasm, dw), parts, C, K], { total: C, itemWork: 20 * parts * K });
  });
  return dw;
}

/** Tiles of 2×2 outputs. */
function tilesOf(B: number, h: number, w: number): number {
  return B * Math.ceil(h / 2) * Math.ceil(w / 2);
}

/** 16 matrices with columns in eights, and a line of the cache after each. */
function transformedBytes(rows: number, columns: number): number {
  return 16 * (rows * Math.ceil(columns / 8) * 8 * 4 + 64);
}

// Shapes: B batch, H W input size, h w output size, C input channels, K output channels.
import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import { affine, type InitOptions, sumRows, uniformAround } from './linear';
import type { Rng } from './rng';
import { wasmConv2d, wasmConv2dInputGradient, wasmConv2dWeightGradient } from './wasm/conv2d';
import { hasWasmConv3x3, wasmConv3x3, wasmConv3x3InputGradient, wasmConv3x3WeightGradient } from './wasm/conv3x3';
import { hasWasmKernels } from './wasm/multiply';
import { hasWebgpu } from './webgpu/backend';
import { webgpuConv2d } from './webgpu/conv2d';
import { webgpuConvInputGradient } from './webgpu/conv-input-gradient';
import { webgpuConvWeightGradient } from './webgpu/conv-weight-gradient';

/** Weights of a convolution: weight `[kh, kw, C, K]` (HWIO), bias `[K]`. */
export type Conv2dParams = { readonly weight: tf.Tensor4D; readonly bias?: tf.Tensor1D };

/** Zeros around the image. `same` is TensorFlow's: the output is ceil(size / stride). */
export type Padding =
  'same' | 'valid' | { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number };

export type Conv2dOptions = {
  readonly stride?: number;
  readonly padding?: Padding;
  /** The weights are not trained: their gradient, a third of all work, is left out. */
  readonly frozen?: boolean;
};

type Sides = { readonly top: number; readonly bottom: number; readonly left: number; readonly right: number };

/** Fresh weights, uniform in ±gain/sqrt(kernel² C) as in PyTorch. */
export function initConv2d(
  kernel: number,
  inChannels: number,
  outChannels: number,
  rng: Rng,
  options: InitOptions = {},
): Conv2dParams {
  const { bias = true, gain = 1 } = options;
  const bound = gain / Math.sqrt(kernel * kernel * inChannels);
  const size = kernel * kernel * inChannels * outChannels;
  const weight = tf.tensor4d(uniformAround(size, bound, rng), [kernel, kernel, inChannels, outChannels]);
  return bias ? { weight, bias: tf.tensor1d(uniformAround(outChannels, bound, rng)) } : { weight };
}

/**
 * 2-D convolution (cross-correlation, as everywhere in the field).
 *
 * @param x `[B, H, W, C]`, float32.
 * @returns `[B, h, w, K]`. The caller disposes it.
 * @throws ShapeError if the channels of `x` do not fit the weights, no window fits into it, or the stride is not a whole number from 1.
 */
export function conv2d(params: Conv2dParams, x: tf.Tensor4D, options: Conv2dOptions = {}): tf.Tensor4D {
  const { stride = 1, padding = 'same', frozen = false } = options;
  const { weight, bias } = params;
  const [kh, kw, C] = weight.shape;
  if (x.rank !== 4 || x.shape[3] !== C) {
    throw new ShapeError(`conv2d: expected x of shape [B, H, W, ${C}], received [${x.shape.join(', ')}].`);
  }
  const [, H, W] = x.shape;
  if (!Number.isInteger(stride) || stride < 1) {
    throw new ShapeError(`conv2d: expected a stride of a whole number from 1, received ${String(stride)}.`);
  }
  const sides = resolvePadding(padding, [H, W], [kh, kw], stride);
  expectRoom([H, W], [kh, kw], sides);
  expectAlive('conv2d', { x, weight, bias });
  return tf.tidy(() => {
    const unpadded = sides.top + sides.bottom + sides.left + sides.right === 0;
    if (kh === 1 && kw === 1 && stride === 1 && unpadded && !frozen) {
      return affine('conv2d', x, weight, bias) as tf.Tensor4D; // a 1x1 convolution is a product of matrices
    }
    if (tf.getBackend() === 'tensorflow') {
      // The gradients of tensorflow's own kernels know no explicit padding: there it is a pad before a 'valid' convolution.
      const y =
        typeof padding === 'string'
          ? tf.conv2d(x, weight, stride, padding)
          : tf.conv2d(tf.pad(x, explicitPadding(sides)), weight, stride, 'valid'); // [B, h, w, K]
      return bias ? tf.add(y, bias) : y;
    }
    return frozen ? frozenConv2d(x, weight, bias, stride, sides) : ownConv2d(x, weight, bias, stride, sides);
  });
}

/**
 * The convolution as one operation with gradients of our own. tfjs' are missing on wasm, slow on webgpu and 12 times slower
 * on cpu. Exported for its test against the plain gradients.
 */
export function ownConv2d(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor1D | undefined,
  stride: number,
  sides: Sides,
): tf.Tensor4D {
  const kernels = convKernels(weight.shape, stride);
  return withGradient<tf.Tensor4D>(
    'conv2d',
    { x, weight, bias },
    (save) => {
      save([x, weight]);
      return kernels.forward(x, weight, bias, stride, sides); // [B, h, w, K]
    },
    (dy, saved) => {
      const [x2, weight2] = saved as [tf.Tensor4D, tf.Tensor4D];
      const grads: tf.Tensor[] = [
        kernels.inputGradient(dy, weight2, x2.shape, stride, sides),
        kernels.weightGradient(x2, dy, weight2.shape, stride, sides),
      ];
      if (bias) grads.push(sumRows(tf.reshape(dy, [-1, dy.shape[3]])));
      return grads;
    },
  );
}

/** The same with a gradient for x alone. */
function frozenConv2d(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  bias: tf.Tensor1D | undefined,
  stride: number,
  sides: Sides,
): tf.Tensor4D {
  const kernels = convKernels(weight.shape, stride);
  const { shape } = x;
  return withGradient<tf.Tensor4D>(
    'conv2d',
    { x },
    (save) => {
      save([weight]);
      return kernels.forward(x, weight, bias, stride, sides); // [B, h, w, K]
    },
    (dy, saved) => [kernels.inputGradient(dy, saved[0] as tf.Tensor4D, shape, stride, sides)],
  );
}

/** A convolution and its gradients on a backend. */
type ConvKernels = {
  forward(x: tf.Tensor4D, weight: tf.Tensor4D, bias: tf.Tensor1D | undefined, stride: number, sides: Sides): tf.Tensor4D;
  inputGradient(dy: tf.Tensor4D, weight: tf.Tensor4D, shape: readonly number[], stride: number, sides: Sides): tf.Tensor4D;
  weightGradient(x: tf.Tensor4D, dy: tf.Tensor4D, shape: readonly number[], stride: number, sides: Sides): tf.Tensor4D;
};

function convKernels(weightShape: readonly number[], stride: number): ConvKernels {
  if (hasWasmConv3x3(weightShape, stride)) return winograd;
  if (hasWasmKernels()) return patches;
  if (hasWebgpu()) return programs;
  return exchanged;
}

const winograd: ConvKernels = {
  forward: (x, weight, bias, _stride, sides) => wasmConv3x3(x, weight, bias, sides),
  inputGradient: (dy, weight, _shape, _stride, sides) => wasmConv3x3InputGradient(dy, weight, sides),
  weightGradient: (x, dy, _shape, _stride, sides) => wasmConv3x3WeightGradient(x, dy, sides),
};

const patches: ConvKernels = {
  forward: wasmConv2d,
  inputGradient: wasmConv2dInputGradient,
  weightGradient: (x, dy, [kh, kw], stride, sides) => wasmConv2dWeightGradient(x, dy, [kh!, kw!], stride, sides),
};

/**
 * Gradients made of forward convolutions, which are the fast kernels: the input gradient is a convolution of `dy` with the
 * flipped kernel, the weight gradient one of `x` with `dy`, with batch and channel axes exchanged.
 */
const exchanged: ConvKernels = {
  forward: (x, filter, bias, strides, sides) => tf.fused.conv2d({ x, filter, strides, pad: explicitPadding(sides), bias }),
  inputGradient,
  weightGradient,
};

const programs: ConvKernels = {
  forward: (x, weight, bias, stride, sides) => webgpuConv2d(x, weight, bias, { stride, ...sides }),
  inputGradient: (dy, weight, [, H, W], stride, { top, left }) =>
    webgpuConvInputGradient(dy, weight, { H: H!, W: W!, stride, top, left }),
  weightGradient: (x, dy, [kh, kw], stride, { top, left }) =>
    webgpuConvWeightGradient(x, dy, { kernel: [kh!, kw!], stride, top, left }),
};

function inputGradient(
  dy: tf.Tensor4D,
  weight: tf.Tensor4D,
  inputShape: readonly number[],
  stride: number,
  sides: Sides,
): tf.Tensor4D {
  const [kh, kw] = weight.shape;
  const spread = spreadOut(dy, stride);
  // Padding that makes the output as large as x; negative where x had rows that no window reached or that were cut.
  const top = kh - 1 - sides.top;
  const left = kw - 1 - sides.left;
  const bottom = inputShape[1]! - spread.shape[1] - top + kh - 1;
  const right = inputShape[2]! - spread.shape[2] - left + kw - 1;
  const padded = cropNegative(spread, { top, bottom, left, right });
  return tf.conv2d(padded, flipKernel(weight), 1, explicitPadding(positive({ top, bottom, left, right }))); // [B, H, W, C]
}

function weightGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  weightShape: readonly number[],
  stride: number,
  sides: Sides,
): tf.Tensor4D {
  const [kh, kw] = weightShape as [number, number];
  const [B, H, W, C] = x.shape;
  // In two steps, each of which stays in the cache.
  const planes = tf.transpose(tf.reshape(x, [B, H * W, C]) as tf.Tensor3D, [0, 2, 1]); // [B, C, H W]
  const images = tf.reshape(tf.transpose(tf.reshape(planes, [B, C * H * W])), [C, H, W, B]) as tf.Tensor4D;
  const filter = tf.transpose(dy, [1, 2, 0, 3]); // [h, w, B, K]
  // A filter dilated by the stride sees the windows that the stride visited.
  const full = tf.conv2d(images, filter as tf.Tensor4D, 1, explicitPadding(sides), 'NHWC', stride); // [C, >=kh, >=kw, K]
  const cut = full.shape[1] === kh && full.shape[2] === kw ? full : tf.slice(full, [0, 0, 0, 0], [-1, kh, kw, -1]);
  return tf.transpose(cut, [1, 2, 0, 3]); // [kh, kw, C, K]
}

/** Rotated by half a turn, with channels exchanged: `[kh, kw, C, K]` -> `[kh, kw, K, C]`. */
function flipKernel(weight: tf.Tensor4D): tf.Tensor4D {
  return tf.transpose(tf.reverse(weight, [0, 1]), [0, 1, 3, 2]);
}

/** Zeros between the rows and columns: `[B, h, w, K]` -> `[B, h * stride, w * stride, K]`. */
function spreadOut(dy: tf.Tensor4D, stride: number): tf.Tensor4D {
  if (stride === 1) return dy;
  const [B, h, w, K] = dy.shape;
  const columns = tf.pad(tf.reshape(dy, [B * h * w, K]), [
    [0, 0],
    [0, (stride - 1) * K],
  ]); // [B * h * w, stride * K]
  const rowSize = w * stride * K;
  const rows = tf.pad(tf.reshape(columns, [B * h, rowSize]), [
    [0, 0],
    [0, (stride - 1) * rowSize],
  ]); // [B * h, stride * rowSize]
  return tf.reshape(rows, [B, h * stride, w * stride, K]);
}

function cropNegative(x: tf.Tensor4D, sides: Sides): tf.Tensor4D {
  if (Math.min(sides.top, sides.bottom, sides.left, sides.right) >= 0) return x;
  const [B, H, W, K] = x.shape;
  const top = Math.max(0, -sides.top);
  const left = Math.max(0, -sides.left);
  const height = H - top - Math.max(0, -sides.bottom);
  const width = W - left - Math.max(0, -sides.right);
  return tf.slice(x, [0, top, left, 0], [B, height, width, K]);
}

function positive(sides: Sides): Sides {
  return {
    top: Math.max(0, sides.top),
    bottom: Math.max(0, sides.bottom),
    left: Math.max(0, sides.left),
    right: Math.max(0, sides.right),
  };
}

function expectRoom([H, W]: readonly [number, number], [kh, kw]: readonly [number, number], sides: Sides): void {
  const { top, bottom, left, right } = sides;
  const whole = [top, bottom, left, right].every((side) => Number.isInteger(side) && side >= 0);
  if (!whole || H + top + bottom < kh || W + left + right < kw) {
    throw new ShapeError(
      `conv2d: expected x of at least [B, ${kh}, ${kw}, C] with its padding, in whole numbers from 0, ` +
        `received [${H}, ${W}] with ${JSON.stringify(sides)}.`,
    );
  }
}

function resolvePadding(
  padding: Padding,
  size: readonly [number, number],
  kernel: readonly [number, number],
  stride: number,
): Sides {
  if (padding === 'valid') return { top: 0, bottom: 0, left: 0, right: 0 };
  if (padding !== 'same') return padding;
  const along = (axis: 0 | 1): [number, number] => {
    const out = Math.ceil(size[axis] / stride);
    const total = Math.max(0, (out - 1) * stride + kernel[axis] - size[axis]);
    return [Math.floor(total / 2), total - Math.floor(total / 2)];
  };
  const [top, bottom] = along(0);
  const [left, right] = along(1);
  return { top, bottom, left, right };
}

function explicitPadding(sides: Sides): [[number, number], [number, number], [number, number], [number, number]] {
  return [
    [0, 0],
    [sides.top, sides.bottom],
    [sides.left, sides.right],
    [0, 0],
  ];
}

// Shapes: N rows, D width.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const LAYER_NORM = 'SgdiffLayerNorm';
const GRADIENT = 'SgdiffLayerNormGradient';

/** Operations per number, roughly. */
const WORK = 10;

/**
 * Layer normalisation of the rows of `x` `[..., D]`. No gradient.
 *
 * @returns `y`, the shape of `x`, and `mean` and `rstd` `[N]`. The caller disposes them.
 */
export function wasmLayerNorm(
  x: tf.Tensor,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D,
  eps: number,
): { y: tf.Tensor; mean: tf.Tensor1D; rstd: tf.Tensor1D } {
  ensureRegistered(LAYER_NORM, layerNormKernel);
  const outputs: unknown = tf.engine().runKernel(LAYER_NORM, { x, weight, bias }, { eps });
  const [y, mean, rstd] = outputs as [tf.Tensor, tf.Tensor1D, tf.Tensor1D];
  return { y, mean, rstd };
}

/** Gradients of `wasmLayerNorm` with respect to x, weight and bias. The caller disposes them. */
export function wasmLayerNormGradient(
  dy: tf.Tensor,
  x: tf.Tensor,
  weight: tf.Tensor1D,
  mean: tf.Tensor1D,
  rstd: tf.Tensor1D,
): [tf.Tensor, tf.Tensor1D, tf.Tensor1D] {
  ensureRegistered(GRADIENT, gradientKernel);
  const outputs: unknown = tf.engine().runKernel(GRADIENT, { dy, x, weight, mean, rstd });
  return outputs as [tf.Tensor, tf.Tensor1D, tf.Tensor1D];
}

function layerNormKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const { x, weight, bias } = inputs as Record<'x' | 'weight' | 'bias', tf.TensorInfo>;
  const { N, D } = sizesOf(x);
  const y = wasm.makeOutput(x.shape, 'float32');
  const mean = wasm.makeOutput([N], 'float32');
  const rstd = wasm.makeOutput([N], 'float32');
  const addresses = [x, weight, bias, y, mean, rstd].map((tensor) => addressOf(wasm, tensor));
  runRanges(wasm, 'layerNorm', [...addresses, D, attrs.eps as number], { total: N, itemWork: WORK * D });
  return [y, mean, rstd];
}

function gradientKernel({ inputs, backend }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const { dy, x, weight, mean, rstd } = inputs as Record<'dy' | 'x' | 'weight' | 'mean' | 'rstd', tf.TensorInfo>;
  const { N, D } = sizesOf(x);
  const dx = wasm.makeOutput(x.shape, 'float32');
  const dWeight = wasm.makeOutput([D], 'float32');
  const dBias = wasm.makeOutput([D], 'float32');
  const addresses = [dy, x, weight, mean, rstd, dx].map((tensor) => addressOf(wasm, tensor));
  const parts = (simdKernels() as SimdKernels).layerNormParts(N);
  withScratch(wasm, 2 * parts * D * 4, (dWeights) => {
    const dBiases = dWeights + parts * D * 4;
    runRanges(wasm, 'layerNormGradient', [...addresses, dWeights, dBiases, N, D], { total: parts, itemWork: (2 * WORK * N * D) / parts });
    runRanges(wasm, 'sumParts', [dWeights, addressOf(wasm, dWeight), parts, D], { total: D, itemWork: parts });
    runRanges(wasm, 'sumParts', [dBiases, addressOf(wasm, dBias), parts, D], { total: D, itemWork: parts });
  });
  return [dx, dWeight, dBias];
}

function sizesOf(x: tf.TensorInfo): { N: number; D: number } {
  const D = x.shape[x.shape.length - 1]!;
  return { N: x.shape.slice(0, -1).reduce((a, b) => a * b, 1), D };
}

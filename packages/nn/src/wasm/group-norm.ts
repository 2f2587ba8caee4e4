// Shapes: B batch, S positions, C channels, G groups, M channels per group.
import * as tf from '@tensorflow/tfjs-core';
import type { GroupNormSettings, GroupNormValue } from '../group-norm';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const GROUP_NORM = 'SgdiffGroupNorm';
const GRADIENT = 'SgdiffGroupNormGradient';

/** Operations per number, roughly. */
const WORK = 40;

/** Group normalisation (and SiLU) of `x` `[B, ..., C]`. No gradient. The caller disposes the tensors. */
export function wasmGroupNorm(x: tf.Tensor, weight: tf.Tensor1D, bias: tf.Tensor1D, settings: GroupNormSettings): GroupNormValue {
  ensureRegistered(GROUP_NORM, groupNormKernel);
  const outputs: unknown = tf.engine().runKernel(GROUP_NORM, { x, weight, bias }, { ...settings });
  const [y, mean, rstd] = outputs as [tf.Tensor, tf.Tensor2D, tf.Tensor2D];
  return { y, mean, rstd };
}

/** Gradients of `wasmGroupNorm` with respect to x, weight and bias. The caller disposes them. */
export function wasmGroupNormGradient(
  dy: tf.Tensor,
  x: tf.Tensor,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D,
  { mean, rstd }: Omit<GroupNormValue, 'y'>,
  settings: GroupNormSettings,
): [tf.Tensor, tf.Tensor1D, tf.Tensor1D] {
  ensureRegistered(GRADIENT, gradientKernel);
  const outputs: unknown = tf.engine().runKernel(GRADIENT, { dy, x, weight, bias, mean, rstd }, { ...settings });
  return outputs as [tf.Tensor, tf.Tensor1D, tf.Tensor1D];
}

function groupNormKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const { x, weight, bias } = inputs as Record<'x' | 'weight' | 'bias', tf.TensorInfo>;
  const { groups, eps, silu } = attrs as GroupNormSettings;
  const { B, S, C, M } = sizesOf(x, groups);
  const y = wasm.makeOutput(x.shape, 'float32');
  const mean = wasm.makeOutput([B, groups], 'float32');
  const rstd = wasm.makeOutput([B, groups], 'float32');
  const addresses = [x, weight, bias, y, mean, rstd].map((tensor) => addressOf(wasm, tensor));
  runRanges(wasm, 'groupNorm', [...addresses, S, C, M, eps, Number(silu)], rangesOf(B, S, C, M));
  return [y, mean, rstd];
}

function gradientKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const { dy, x, weight, bias, mean, rstd } = inputs as Record<'dy' | 'x' | 'weight' | 'bias' | 'mean' | 'rstd', tf.TensorInfo>;
  const { groups, silu } = attrs as GroupNormSettings;
  const { B, S, C, M } = sizesOf(x, groups);
  const dx = wasm.makeOutput(x.shape, 'float32');
  const dWeight = wasm.makeOutput([C], 'float32');
  const dBias = wasm.makeOutput([C], 'float32');
  const addresses = [dy, x, weight, bias, mean, rstd, dx].map((tensor) => addressOf(wasm, tensor));
  withScratch(wasm, 2 * B * C * 4, (dWeights) => {
    const dBiases = dWeights + B * C * 4;
    runRanges(wasm, 'groupNormGradient', [...addresses, dWeights, dBiases, S, C, M, Number(silu)], rangesOf(B, S, C, M));
    runRanges(wasm, 'sumParts', [dWeights, addressOf(wasm, dWeight), B, C], { total: C, itemWork: B });
    runRanges(wasm, 'sumParts', [dBiases, addressOf(wasm, dBias), B, C], { total: C, itemWork: B });
  });
  return [dx, dWeight, dBias];
}

function sizesOf(x: tf.TensorInfo, groups: number): { B: number; S: number; C: number; M: number } {
  const B = x.shape[0]!;
  const C = x.shape[x.shape.length - 1]!;
  return { B, S: x.shape.slice(1, -1).reduce((a, b) => a * b, 1), C, M: C / groups };
}

function rangesOf(B: number, S: number, C: number, M: number): { total: number; itemWork: number; scratchBytes: number } {
  const kernels = simdKernels() as SimdKernels;
  const total = kernels.groupNormItems(B, C, M);
  return { total, itemWork: (WORK * B * S * C) / total, scratchBytes: kernels.groupNormScratchBytes(C, M) };
}

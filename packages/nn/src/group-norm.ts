// Shapes: B batch, H W sides, S positions (all middle axes), C channels, G groups, M channels per group.
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import { wasmGroupNorm, wasmGroupNormGradient } from './wasm/group-norm';
import { hasWasmKernels } from './wasm/multiply';
import { hasWebgpu } from './webgpu/backend';
import { webgpuGroupNorm } from './webgpu/group-norm';
import { webgpuGroupNormGradient } from './webgpu/group-norm-gradient';

/** Weights of a normalisation: weight `[C]` (starts at 1), bias `[C]` (starts at 0). */
export type NormParams = { readonly weight: tf.Tensor1D; readonly bias: tf.Tensor1D };

export type GroupNormOptions = { readonly groups: number; readonly eps?: number };

/** What the paths of the backends are told; `silu`: with SiLU behind it. */
export type GroupNormSettings = { readonly groups: number; readonly eps: number; readonly silu: boolean };

/** The value, the shape of x, and what its gradient needs: mean and 1 / sqrt(variance + eps) of each group, `[B, G]`. */
export type GroupNormValue = { readonly y: tf.Tensor; readonly mean: tf.Tensor2D; readonly rstd: tf.Tensor2D };

/** Fresh weights: scale 1, shift 0. */
export function initGroupNorm(channels: number): NormParams {
  return { weight: tf.ones([channels]), bias: tf.zeros([channels]) };
}

/**
 * Normalises each group of neighbouring channels of each image to mean 0 and variance 1, then scales and shifts per channel.
 *
 * @param x `[B, ..., C]`, float32.
 * @returns The shape of `x`. The caller disposes it.
 * @throws ShapeError if the channels do not fit the weights or the groups.
 * @see arXiv:1803.08494
 */
export function groupNorm<R extends tf.Rank>(
  params: NormParams,
  x: tf.Tensor<R>,
  options: GroupNormOptions,
): tf.Tensor<R> {
  return normalizeGroups('groupNorm', params, x, options, false);
}

/** `silu(groupNorm(params, x, options))` in one operation: less memory and fewer passes. */
export function groupNormSilu<R extends tf.Rank>(
  params: NormParams,
  x: tf.Tensor<R>,
  options: GroupNormOptions,
): tf.Tensor<R> {
  return normalizeGroups('groupNormSilu', params, x, options, true);
}

function normalizeGroups<R extends tf.Rank>(
  where: string,
  params: NormParams,
  x: tf.Tensor<R>,
  { groups, eps = 1e-5 }: GroupNormOptions,
  withSilu: boolean,
): tf.Tensor<R> {
  const { weight, bias } = params;
  const C = weight.shape[0];
  if (x.rank < 2 || x.shape[x.rank - 1] !== C) {
    throw new ShapeError(`${where}: expected x of shape [B, ..., ${C}], received [${x.shape.join(', ')}].`);
  }
  if (!Number.isInteger(groups) || groups < 1 || C % groups !== 0) {
    throw new ShapeError(`${where}: expected groups to divide ${C} channels, received ${groups}.`);
  }
  const settings: GroupNormSettings = { groups, eps, silu: withSilu };
  return withGradient<tf.Tensor<R>>(
    where,
    { x, weight, bias },
    (save) => {
      const { y, mean, rstd } = forward(x, weight, bias, settings);
      save([x, weight, bias, mean, rstd]);
      return y as tf.Tensor<R>;
    },
    (dy, saved) => {
      const [x2, weight2, bias2, mean, rstd] = saved as [tf.Tensor, tf.Tensor1D, tf.Tensor1D, tf.Tensor2D, tf.Tensor2D];
      return backward(dy, x2, weight2, bias2, { mean, rstd }, settings);
    },
  );
}

function forward(x: tf.Tensor, weight: tf.Tensor1D, bias: tf.Tensor1D, settings: GroupNormSettings): GroupNormValue {
  if (hasWasmKernels()) return wasmGroupNorm(x, weight, bias, settings);
  if (hasWebgpu()) return webgpuGroupNorm(x, weight, bias, settings);
  return plainGroupNorm(x, weight, bias, settings);
}

function backward(
  dy: tf.Tensor,
  x: tf.Tensor,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D,
  statistics: Omit<GroupNormValue, 'y'>,
  settings: GroupNormSettings,
): tf.Tensor[] {
  if (hasWasmKernels()) return wasmGroupNormGradient(dy, x, weight, bias, statistics, settings);
  if (hasWebgpu()) return webgpuGroupNormGradient(dy, x, weight, bias, statistics, settings);
  return plainGroupNormGradient(dy, x, weight, bias, statistics, settings);
}

// The steps of the compositions are ordered so that the large tensors are passed over as few times as possible.

function plainGroupNorm(x: tf.Tensor, weight: tf.Tensor1D, bias: tf.Tensor1D, { groups, eps, silu }: GroupNormSettings): GroupNormValue {
  const { B, S, C, M } = sizesOf(x, groups);
  const mean = groupMean(positionMean(x, B, S, C), groups); // [B, G, 1]
  const centered = tf.sub(asImages(x, S), perChannel(mean, M)); // [B, H, W, C]
  const variance = groupMean(positionMean(tf.mul(centered, centered), B, S, C), groups);
  const rstd = tf.rsqrt(tf.add(variance, eps)); // [B, G, 1]
  const scale = tf.mul(rstd, tf.reshape(weight, [1, groups, M])); // [B, G, M]
  const u = tf.add(tf.mul(centered, tf.reshape(scale, [B, 1, 1, C])), bias); // [B, H, W, C]
  const y = silu ? tf.mul(u, tf.sigmoid(u)) : u;
  return { y: restored(y, x.shape), mean: tf.reshape(mean, [B, groups]), rstd: tf.reshape(rstd, [B, groups]) };
}

function plainGroupNormGradient(
  dy: tf.Tensor,
  x: tf.Tensor,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D,
  { mean, rstd }: Omit<GroupNormValue, 'y'>,
  { groups, silu }: GroupNormSettings,
): tf.Tensor[] {
  const { B, S, C, M } = sizesOf(x, groups);
  const deviations = tf.reshape(rstd, [B, groups, 1]);
  const centered = tf.sub(asImages(x, S), perChannel(tf.reshape(mean, [B, groups, 1]), M)); // [B, H, W, C]
  const scale = tf.reshape(tf.mul(deviations, tf.reshape(weight, [1, groups, M])), [B, C]);
  const scaleImage = tf.reshape(scale, [B, 1, 1, C]);
  let du: tf.Tensor = asImages(dy, S); // [B, H, W, C]
  if (silu) {
    const u = tf.add(tf.mul(centered, scaleImage), bias);
    const s = tf.sigmoid(u);
    du = tf.mul(du, tf.mul(s, tf.add(1, tf.mul(u, tf.sub(1, s)))));
  }
  const duMean = positionMean(du, B, S, C); // [B, C]
  const duCenteredMean = positionMean(tf.mul(du, centered), B, S, C); // [B, C]
  // With w the weight, n = centered rstd, and means over a group: dx = rstd (w du - mean(w du) - n mean(w du n)).
  const shift = groupMean(tf.mul(duMean, scale), groups); // rstd mean(w du): [B, G, 1]
  const along = groupMean(tf.mul(duCenteredMean, scale), groups); // mean(w du n)
  const slope = tf.mul(along, tf.mul(deviations, deviations));
  const dx = tf.sub(tf.sub(tf.mul(du, scaleImage), tf.mul(centered, perChannel(slope, M))), perChannel(shift, M));
  const dWeight = tf.reshape(tf.mul(tf.reshape(duCenteredMean, [B, groups, M]), deviations), [B, C]);
  return [restored(dx, dy.shape), tf.mul(tf.sum(dWeight, 0), S), tf.mul(tf.sum(duMean, 0), S)];
}

function sizesOf(x: tf.Tensor, groups: number): { B: number; S: number; C: number; M: number } {
  const B = x.shape[0]!;
  const C = x.shape[x.rank - 1]!;
  return { B, S: x.size / (B * C), C, M: C / groups };
}

/** Images as they are, other tensors as images of one row. */
function asImages(x: tf.Tensor, S: number): tf.Tensor4D {
  if (x.rank === 4) return x as tf.Tensor4D;
  return tf.reshape(x, [x.shape[0]!, 1, S, x.shape[x.rank - 1]!]);
}

function restored(x: tf.Tensor, shape: number[]): tf.Tensor {
  return x.shape.length === shape.length ? x : tf.reshape(x, shape);
}

/** Mean over the positions, -> `[B, C]`, by average pooling: a fast kernel on every backend. */
function positionMean(x: tf.Tensor, B: number, S: number, C: number): tf.Tensor2D {
  const images = asImages(x, S);
  return tf.reshape(tf.avgPool(images, [images.shape[1], images.shape[2]], 1, 'valid'), [B, C]);
}

/** Mean over the channels of each group: `[B, C]` -> `[B, G, 1]`. */
function groupMean(x: tf.Tensor, groups: number): tf.Tensor {
  const [B, C] = x.shape as [number, number];
  return tf.mean(tf.reshape(x, [B, groups, C / groups]), 2, true);
}

/** The group's value for each of its channels: `[B, G, 1]` -> `[B, 1, 1, C]`. By a product: tf.tile is slow on wasm. */
function perChannel(x: tf.Tensor, M: number): tf.Tensor {
  const [B, G] = x.shape as [number, number, number];
  return tf.reshape(tf.mul(x, tf.ones([1, 1, M])), [B, 1, 1, G * M]);
}

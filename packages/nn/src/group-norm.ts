// Shapes: B batch, S positions (all middle axes), C channels, G groups, M channels per group.
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';

/** Weights of a normalisation: weight `[C]` (starts at 1), bias `[C]` (starts at 0). */
export type NormParams = { readonly weight: tf.Tensor1D; readonly bias: tf.Tensor1D };

export type GroupNormOptions = { readonly groups: number; readonly eps?: number };

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
  const B = x.shape[0]!;
  const S = x.size / (B * C);
  return withGradient<tf.Tensor<R>>(
    [x, weight, bias],
    (save) => {
      const x3 = tf.reshape(x, [B, S, C]) as tf.Tensor3D;
      const mean = groupMean(positionMean(x3), groups); // [B, C]
      const centered = tf.sub(x3, tf.reshape(mean, [B, 1, C])); // [B, S, C]
      const variance = groupMean(positionMean(tf.mul(centered, centered) as tf.Tensor3D), groups); // [B, C]
      const rstd = tf.rsqrt(tf.add(variance, eps)) as tf.Tensor2D; // [B, C]
      const normal = tf.mul(centered, tf.reshape(rstd, [B, 1, C])) as tf.Tensor3D; // [B, S, C]
      save([normal, rstd, weight, bias]);
      const u = tf.add(tf.mul(normal, weight), bias);
      return tf.reshape(withSilu ? tf.mul(u, tf.sigmoid(u)) : u, x.shape) as tf.Tensor<R>;
    },
    (dy, saved) => {
      const [normal, rstd, weight2, bias2] = saved as [tf.Tensor3D, tf.Tensor2D, tf.Tensor1D, tf.Tensor1D];
      const dy3 = tf.reshape(dy, [B, S, C]) as tf.Tensor3D;
      const du = (withSilu ? tf.mul(dy3, siluSlope(tf.add(tf.mul(normal, weight2), bias2))) : dy3) as tf.Tensor3D; // [B, S, C]
      const duMean = positionMean(du); // [B, C]
      const duNormalMean = positionMean(tf.mul(du, normal) as tf.Tensor3D); // [B, C]
      // dx = rstd (w du - mean(w du) - normal mean(w du normal)), with the means over a group.
      const shift = tf.mul(groupMean(tf.mul(duMean, weight2), groups), rstd);
      const slope = tf.mul(groupMean(tf.mul(duNormalMean, weight2), groups), rstd);
      const spread = (t: tf.Tensor): tf.Tensor => tf.reshape(t, [B, 1, C]);
      const scaled = tf.mul(du, spread(tf.mul(rstd, weight2)));
      const dx = tf.sub(tf.sub(scaled, tf.mul(normal, spread(slope))), spread(shift)); // [B, S, C]
      return [tf.reshape(dx, dy.shape), tf.mul(tf.sum(duNormalMean, 0), S), tf.mul(tf.sum(duMean, 0), S)];
    },
  );
}

/** Mean over the positions, `[B, S, C]` -> `[B, C]`, by average pooling: a fast kernel on every backend. */
function positionMean(x: tf.Tensor3D): tf.Tensor2D {
  const [B, S, C] = x.shape;
  return tf.reshape(tf.avgPool(tf.reshape(x, [B, 1, S, C]) as tf.Tensor4D, [1, S], 1, 'valid'), [B, C]);
}

/** Mean over each group, given to each of its channels: `[B, C]` -> `[B, C]`. */
function groupMean(x: tf.Tensor2D, groups: number): tf.Tensor2D {
  const [B, C] = x.shape;
  const mean = tf.mean(tf.reshape(x, [B * groups, C / groups]), 1, true); // [B * G, 1]
  return tf.reshape(tf.mul(mean, tf.ones([1, C / groups])), [B, C]); // tf.tile is slow on wasm
}

function siluSlope(u: tf.Tensor): tf.Tensor {
  const s = tf.sigmoid(u);
  return tf.mul(s, tf.add(1, tf.mul(u, tf.sub(1, s))));
}

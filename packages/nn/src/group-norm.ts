// Shapes: B batch, H W sides, S positions (all middle axes), C channels, G groups, M channels per group.
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
  const M = C / groups;
  // The steps are ordered so that the large tensors are passed over as few times as possible.
  return withGradient<tf.Tensor<R>>(
    [x, weight, bias],
    (save) => {
      const mean = groupMean(positionMean(x, B, S, C), groups); // [B, G, 1]
      const centered = tf.sub(asImages(x, S), perChannel(mean, M)); // [B, H, W, C]
      const variance = groupMean(positionMean(tf.mul(centered, centered), B, S, C), groups);
      const rstd = tf.rsqrt(tf.add(variance, eps)); // [B, G, 1]
      const scale = tf.mul(rstd, tf.reshape(weight, [1, groups, M])); // [B, G, M]
      const u = tf.add(tf.mul(centered, tf.reshape(scale, [B, 1, 1, C])), bias); // [B, H, W, C]
      const s = withSilu ? tf.sigmoid(u) : undefined;
      const y = s ? tf.mul(u, s) : u;
      save(s ? [centered, rstd, scale, y, s] : [centered, rstd, scale]);
      return restored(y, x.shape) as tf.Tensor<R>;
    },
    (dy, saved) => {
      const [centered, rstd, scale, y, s] = saved as [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor?, tf.Tensor?];
      const dImages = asImages(dy, S);
      // The slope of silu is s + y (1 - s).
      const du = s && y ? tf.mul(dImages, tf.add(s, tf.mul(y, tf.sub(1, s)))) : dImages; // [B, H, W, C]
      const duMean = positionMean(du, B, S, C); // [B, C]
      const duCenteredMean = positionMean(tf.mul(du, centered), B, S, C); // [B, C]
      // With w the weight, n = centered rstd, and means over a group: dx = rstd (w du - mean(w du) - n mean(w du n)).
      const scaleRows = tf.reshape(scale, [B, C]);
      const shift = groupMean(tf.mul(duMean, scaleRows), groups); // rstd mean(w du): [B, G, 1]
      const along = groupMean(tf.mul(duCenteredMean, scaleRows), groups); // mean(w du n)
      const slope = tf.mul(along, tf.mul(rstd, rstd));
      const scaled = tf.mul(du, tf.reshape(scale, [B, 1, 1, C]));
      const dx = tf.sub(tf.sub(scaled, tf.mul(centered, perChannel(slope, M))), perChannel(shift, M));
      const dWeight = tf.mul(tf.reshape(duCenteredMean, [B, groups, M]), rstd); // [B, G, M]
      return [restored(dx, dy.shape), tf.mul(tf.sum(tf.reshape(dWeight, [B, C]), 0), S), tf.mul(tf.sum(duMean, 0), S)];
    },
  );
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

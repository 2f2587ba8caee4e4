// Shapes: B batch, then any further axes of the data; N numbers of an item.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { SamplerError } from './errors';
import { expectPositive } from './falling-levels';

export type StaticThresholdingOptions = {
  /** The data lie from `-limit` to `limit`. Default 1. */
  readonly limit?: number;
};

export type DynamicThresholdingOptions = StaticThresholdingOptions & {
  /** Share of an item's numbers that may stay below the threshold, above 0 and up to 1. Default 0.995. */
  readonly percentile?: number;
  /** The highest threshold; numbers beyond are cut. Default none, as in the paper. */
  readonly max?: number;
};

/**
 * Static thresholding: x0 is cut to the range of the data in every step.
 *
 * @returns A denoiser of the same shape, to be wrapped around guidance, or within it around each branch.
 * @throws SamplerError if `limit` is not above 0.
 * @see arXiv:2205.11487, section 2.3.
 */
export function staticThresholding<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  { limit = 1 }: StaticThresholdingOptions = {},
): Denoiser<T> {
  expectPositive('staticThresholding', 'limit', limit);
  return (x, sigma, step) => tf.tidy(() => tf.clipByValue(denoiser(x, sigma, step), -limit, limit));
}

/**
 * Dynamic thresholding: where an item's x0 leaves the range of the data, it is cut at a percentile of its absolute values and
 * scaled back into the range, so that large guidance scales do not saturate pictures. For data with a range, as pixels have.
 *
 * @returns A denoiser of the same shape, each item on its own. Wrap it around guidance.
 * @throws SamplerError for bad options.
 * @see arXiv:2205.11487, section 2.3. The percentile is interpolated linearly, as in NumPy and diffusers.
 */
export function dynamicThresholding<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  { limit = 1, percentile = 0.995, max = Infinity }: DynamicThresholdingOptions = {},
): Denoiser<T> {
  const where = 'dynamicThresholding';
  expectPositive(where, 'limit', limit);
  if (!(percentile > 0 && percentile <= 1)) {
    throw new SamplerError(
      `${where}: expected percentile to be a number above 0 and up to 1, received ${percentile}.`,
      'bad_argument',
    );
  }
  if (!(max >= limit)) {
    throw new SamplerError(`${where}: expected max to be at least limit, ${limit}, received ${max}.`, 'bad_argument');
  }
  return (x, sigma, step) =>
    tf.tidy(() => {
      const x0 = denoiser(x, sigma, step);
      const item = tf.reshape(tf.abs(x0), [x0.shape[0]!, -1]); // [B, N]
      const N = item.shape[1]!;
      const place = percentile * (N - 1);
      const below = Math.floor(place);
      const { values } = tf.topk(item, N - below); // [B, N - below], falling: the last is number `below` from the bottom
      const at = (number: number) => tf.slice(values, [0, N - 1 - number], [-1, 1]); // [B, 1]
      const rest = place - below;
      const quantile = rest > 0 ? tf.add(tf.mul(at(below), 1 - rest), tf.mul(at(below + 1), rest)) : at(below);
      const threshold = tf.reshape(
        tf.minimum(tf.maximum(quantile, limit), Math.min(max, 3e38)), // 3e38: a finite float32
        [x0.shape[0]!, ...x0.shape.slice(1).map(() => 1)],
      ); // [B, 1, …]
      const cut = tf.minimum(tf.maximum(x0, tf.neg(threshold)), threshold);
      return tf.div<T>(tf.mul(cut, limit), threshold);
    });
}

// Shapes: B batch, then any further axes of the data; N numbers of an item.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectFunction, expectNumber, expectObject } from './errors';
import { expectAnswer } from './expect-tensor';
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
 * @throws SamplerError if `limit` is not above 0; the denoiser throws if the wrapped one's answer is not float32 of the shape of `x`.
 * @see arXiv:2205.11487, section 2.3.
 */
export function staticThresholding<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  options: StaticThresholdingOptions = {},
): Denoiser<T> {
  const where = 'staticThresholding';
  expectObject(where, 'options', options);
  const { limit = 1 } = options;
  expectFunction(where, 'denoiser', denoiser, '(x, sigma, step) => x0');
  expectPositive(where, 'limit', limit);
  return (x, sigma, step) =>
    tf.tidy(() => {
      const x0 = expectAnswer(where, 'the denoiser', denoiser(x, sigma, step), x.shape, sigma, step);
      return cut(x0, limit);
    });
}

/**
 * Dynamic thresholding: where an item's x0 leaves the range of the data, it is cut at a percentile of its absolute values and
 * scaled back into the range, so that large guidance scales do not saturate pictures. For data with a range, as pixels have.
 *
 * @returns A denoiser of the same shape, each item on its own. Wrap it around guidance.
 * @throws SamplerError for bad options; the denoiser throws as that of `staticThresholding`.
 * @see arXiv:2205.11487, section 2.3. The percentile is interpolated linearly, as in NumPy and diffusers.
 */
export function dynamicThresholding<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  options: DynamicThresholdingOptions = {},
): Denoiser<T> {
  const where = 'dynamicThresholding';
  expectObject(where, 'options', options);
  const { limit = 1, percentile = 0.995, max = Infinity } = options;
  expectFunction(where, 'denoiser', denoiser, '(x, sigma, step) => x0');
  expectPositive(where, 'limit', limit);
  const isShare = (value: number) => value > 0 && value <= 1;
  expectNumber(where, 'percentile', percentile, isShare, 'a number above 0 and up to 1');
  expectNumber(where, 'max', max, (value) => value >= limit, `at least limit, ${limit}`);
  return (x, sigma, step) =>
    tf.tidy(() => {
      const x0 = expectAnswer(where, 'the denoiser', denoiser(x, sigma, step), x.shape, sigma, step);
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
      return tf.div<T>(tf.mul(cut(x0, threshold), limit), threshold);
    });
}

/**
 * `x0` from `-limit` to `limit`, but not finite where it is not: a network that is broken is to be found out.
 *
 * Not `clipByValue`, which on wasm takes NaN for the lower limit.
 */
function cut<T extends tf.Tensor>(x0: T, limit: tf.Tensor | number): T {
  const low = typeof limit === 'number' ? -limit : tf.neg(limit);
  return tf.add<T>(tf.minimum(tf.maximum(x0, low), limit), tf.mul(x0, 0)); // 0, or NaN
}

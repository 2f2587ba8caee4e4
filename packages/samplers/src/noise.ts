// Shapes: B batch, then any further axes of the data.
import * as tf from '@tensorflow/tfjs-core';
import { expectFunction, expectList, expectNumber, SamplerError } from './errors';
import { expectAnswer } from './expect-tensor';
import { philox } from './philox';

/**
 * Standard normal noise for one step. The sampler calls inside a `tf.tidy`, which disposes what is made in it: a tensor that is kept
 * outside may be returned again.
 *
 * @param shape `[B, …]`, the shape of the data.
 * @param step The step counted from 0, or `INITIAL_STEP` for the start of the run.
 * @param draw Which draw of that step it is, counted from 0, the default: methods that draw twice in a step need other noise then.
 */
export type Noise = (shape: readonly number[], step: number, draw?: number) => tf.Tensor;

/** The `step` under which the noise that a run starts from is drawn. */
export const INITIAL_STEP = -1;

/** Sets this package's numbers apart from any other use of the same generator with the same seed. */
const DOMAIN = 0x73616d70; // 'samp'

/**
 * Noise in which item i depends on its own seed, the step and the draw alone: not on the batch's size or order, nor on the backend.
 *
 * Drawn in plain JS (Philox 4x32-10, then Box-Muller in 64 bits, then rounded to float32).
 *
 * @param seeds One whole number from 0 to 2^53 - 1 per item of the batch.
 * @throws SamplerError if a seed is not such a number; the noise throws if the batch is not `seeds.length` items.
 */
export function perItemNoise(seeds: readonly number[]): Noise {
  expectList('perItemNoise', 'seeds', seeds);
  if (seeds.length === 0)
    throw new SamplerError('perItemNoise: expected at least one seed, received none.', 'bad_argument');
  const keys = Array.from(seeds);
  const isSeed = (value: number) => Number.isSafeInteger(value) && value >= 0;
  keys.forEach((seed, item) =>
    expectNumber('perItemNoise', `seeds[${item}]`, seed, isSeed, 'a whole number from 0 to 2^53 - 1'),
  );
  return (shape, step, draw = 0) => {
    if (shape[0] !== keys.length) {
      throw new SamplerError(
        `perItemNoise: expected a batch of ${keys.length}, one item per seed, received shape [${shape}].`,
        'bad_shape',
      );
    }
    const size = shape.slice(1).reduce((product, length) => product * length, 1);
    const values = new Float32Array(keys.length * size);
    keys.forEach((seed, item) => fillNormal(values.subarray(item * size, (item + 1) * size), seed, step, draw));
    return tf.tensor(values, [...shape], 'float32');
  };
}

/**
 * The state a run starts from: noise at the level of `sigmas[0]`, scaled as a variance-preserving model knows it.
 *
 * @param shape `[B, …]`, e.g. `[B, H, W, C]`.
 * @param sigmas The noise levels of the run, as from `samplingSigmas`.
 * @returns `noise * sqrt(1 + sigmas[0]^2)`, `shape`, float32. The caller disposes it.
 * @throws SamplerError for a shape or sigmas that are none.
 */
export function initialNoise<R extends tf.Rank = tf.Rank>(
  noise: Noise,
  shape: tf.ShapeMap[R] & readonly number[],
  sigmas: ArrayLike<number>,
): tf.Tensor<R> {
  const where = 'initialNoise';
  expectFunction(where, 'noise', noise, 'as from perItemNoise(seeds)');
  expectList(where, 'shape', shape);
  const isLength = (value: number) => Number.isSafeInteger(value) && value >= 0;
  shape.forEach((length, axis) => expectNumber(where, `shape[${axis}]`, length, isLength, 'a whole number from 0'));
  expectList(where, 'sigmas', sigmas, 'bad_sigmas');
  const isLevel = (value: number) => value >= 0 && value < Infinity;
  expectNumber(where, 'sigmas[0]', sigmas[0]!, isLevel, 'a finite number from 0', 'bad_sigmas');
  return tf.tidy(() => {
    const drawn = expectAnswer(where, 'noise', noise(shape, INITIAL_STEP), shape, sigmas[0]!, undefined);
    return tf.mul<tf.Tensor<R>>(drawn, Math.sqrt(1 + sigmas[0]! ** 2));
  });
}

/** Fills `out` with the standard normal numbers of (seed, step, draw). */
function fillNormal(out: Float32Array, seed: number, step: number, draw: number): void {
  const low = seed >>> 0;
  const high = Math.floor(seed / 0x100000000);
  for (let start = 0; start < out.length; start += 4) {
    const [a, b, c, d] = philox([start >>> 2, step >>> 0, draw, DOMAIN], low, high);
    const normals = [...boxMuller(a, b), ...boxMuller(c, d)];
    for (let j = 0; j < 4 && start + j < out.length; j++) out[start + j] = normals[j]!;
  }
}

/** Two independent standard normal numbers from two words. Half a word is added so that the logarithm is never of 0. */
function boxMuller(a: number, b: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log((a + 0.5) / 0x100000000));
  const angle = (2 * Math.PI * (b + 0.5)) / 0x100000000;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

import type * as tf from '@tensorflow/tfjs-core';
import type { Rng } from '../rng';
import { sizeOf } from './reference';

export type Shape = readonly number[];

/** How an input of a case is made: the same numbers for the same stream. */
export type Input<S extends Shape = Shape> = {
  readonly shape: S;
  readonly dtype: 'float32' | 'int32';
  /** Whether the operation has a gradient with respect to it. */
  readonly differentiable: boolean;
  fill(rng: Rng): Float32Array | Int32Array;
};

/** The tensor that an input becomes. */
export type TensorOf<S extends Shape> = S['length'] extends keyof Ranks ? tf.Tensor<Ranks[S['length']]> : tf.Tensor;

type Ranks = { 0: tf.Rank.R0; 1: tf.Rank.R1; 2: tf.Rank.R2; 3: tf.Rank.R3; 4: tf.Rank.R4 };

/** Standard normals. */
export function normal<S extends Shape>(...shape: S): Input<S> {
  return floats(shape, (rng) => rng.fillNormal(new Float32Array(sizeOf(shape))));
}

/** Normals around `mean`. */
export function normalAround<S extends Shape>(mean: number, deviation: number, ...shape: S): Input<S> {
  return floats(shape, (rng) =>
    rng.fillNormal(new Float32Array(sizeOf(shape))).map((value) => mean + deviation * value),
  );
}

/** From `from` to `to` in equal steps. */
export function evenly<S extends Shape>(from: number, to: number, ...shape: S): Input<S> {
  const size = sizeOf(shape);
  return floats(shape, () => Float32Array.from({ length: size }, (_, i) => from + ((to - from) * i) / (size - 1)));
}

/** These numbers, with no gradient: a mask, a target. */
export function fixed<S extends Shape>(values: readonly number[], ...shape: S): Input<S> {
  return { shape, dtype: 'float32', differentiable: false, fill: () => Float32Array.from(values) };
}

/** Whole numbers in `[0, below)`. */
export function integers<S extends Shape>(below: number, ...shape: S): Input<S> {
  const fill = (rng: Rng): Int32Array => Int32Array.from({ length: sizeOf(shape) }, () => rng.int(below));
  return { shape, dtype: 'int32', differentiable: false, fill };
}

function floats<S extends Shape>(shape: S, fill: (rng: Rng) => Float32Array): Input<S> {
  return { shape, dtype: 'float32', differentiable: true, fill };
}

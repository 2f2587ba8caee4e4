// Shapes: B batch, O object slots, T triple slots, D width.
import * as tf from '@tensorflow/tfjs-core';
import type { PackedGraphs } from '@sgdiff/sg-schema';

/** Who touches whom, as constant matrices: gathering and pooling become matrix products, whose gradient every backend has. */
export type Incidence = {
  /** Row t is the one-hot of triple t's subject, zero for padding: `[B, T, O]`. */
  readonly subject: tf.Tensor3D;
  /** The same for its object: `[B, T, O]`. */
  readonly object: tf.Tensor3D;
  /** Row o averages over all places where node o is subject (first T columns) or object (last T): `[B, O, 2T]`. */
  readonly pool: tf.Tensor3D;
};

/** Incidence matrices of packed graphs, float32. The caller disposes them. */
export function createIncidence(packed: PackedGraphs): Incidence {
  const { batch: B, objectSlots: O, tripleSlots: T } = packed;
  const subject = new Float32Array(B * T * O);
  const object = new Float32Array(B * T * O);
  const pool = new Float32Array(B * O * 2 * T);
  const degree = new Float32Array(B * O);
  for (let row = 0; row < B * T; row++) {
    if (packed.tripleMask[row] !== 1) continue;
    const first = Math.floor(row / T) * O;
    degree[first + packed.subjects[row]!]! += 1;
    degree[first + packed.tripleObjects[row]!]! += 1;
  }
  for (let row = 0; row < B * T; row++) {
    if (packed.tripleMask[row] !== 1) continue;
    const b = Math.floor(row / T);
    const t = row - b * T;
    const s = packed.subjects[row]!;
    const o = packed.tripleObjects[row]!;
    subject[row * O + s] = 1;
    object[row * O + o] = 1;
    pool[(b * O + s) * 2 * T + t] = 1 / degree[b * O + s]!;
    pool[(b * O + o) * 2 * T + T + t] = 1 / degree[b * O + o]!;
  }
  return {
    subject: tf.tensor3d(subject, [B, T, O]),
    object: tf.tensor3d(object, [B, T, O]),
    pool: tf.tensor3d(pool, [B, O, 2 * T]),
  };
}

/**
 * Product of a constant matrix and features, per graph. The gradient is written out: tfjs would multiply with transpose
 * flags, slow on wasm, and would also compute the gradient of the constant.
 *
 * @param matrix Constant `[B, M, N]`.
 * @param x Features `[B, N, D]`.
 * @returns `[B, M, D]`. The caller disposes it.
 */
export function incidenceProduct(matrix: tf.Tensor3D, x: tf.Tensor3D): tf.Tensor3D {
  const product = tf.customGrad((input, save) => {
    (save as tf.GradSaveFunc)([matrix]);
    return {
      value: tf.matMul(matrix, input as tf.Tensor3D),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        tf.tidy(() => tf.matMul(tf.transpose(saved[0] as tf.Tensor3D, [0, 2, 1]), dy as tf.Tensor3D)),
    };
  });
  return product(x) as tf.Tensor3D;
}

// Shapes: V entries, D width.
import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import type { Rng } from './rng';
import { gather } from './segments';

/** Weights of a table: weight `[V, D]`. */
export type EmbeddingParams = { readonly weight: tf.Tensor2D };

/** Fresh weights: standard normal, as in PyTorch. */
export function initEmbedding(count: number, width: number, rng: Rng): EmbeddingParams {
  return { weight: tf.tensor2d(rng.fillNormal(new Float32Array(count * width)), [count, width]) };
}

/**
 * Rows of the table.
 *
 * @param ids int32 `[...]`, in `[0, V)`.
 * @returns `[..., D]`. The caller disposes it.
 * @throws DisposedError if an input was disposed.
 * @throws IndexError if an id names no row. Not on webgpu, where that would read the ids back: such a row is undefined there.
 */
export function embedding({ weight }: EmbeddingParams, ids: tf.Tensor): tf.Tensor {
  expectAlive('embedding', { weight, ids });
  return tf.tidy(() => {
    const rows = gather('embedding', weight, tf.reshape(ids, [ids.size])); // [M, D]
    return tf.reshape(rows, [...ids.shape, weight.shape[1]]);
  });
}

// Shapes: V entries, D width.
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import type { Rng } from './rng';

/** Weights of a table: weight `[V, D]`. */
export type EmbeddingParams = { readonly weight: tf.Tensor2D };

/** Fresh weights: standard normal, as in PyTorch. */
export function initEmbedding(count: number, width: number, rng: Rng): EmbeddingParams {
  return { weight: tf.tensor2d(rng.fillNormal(new Float32Array(count * width)), [count, width]) };
}

/**
 * Rows of the table.
 *
 * @param ids int32 `[...]`, in `[0, V)`. Not checked: that would read the tensor back.
 * @returns `[..., D]`. The caller disposes it.
 */
export function embedding(params: EmbeddingParams, ids: tf.Tensor): tf.Tensor {
  const [V, D] = params.weight.shape;
  return withGradient(
    [params.weight],
    (save) => {
      save([ids]);
      return tf.gather(params.weight, ids);
    },
    (dy, saved) => [sumByRow(dy, saved[0]!, V, D)],
  );
}

/** Gradient of the table `[V, D]`: rows of `dy` `[..., D]` added up by id. */
function sumByRow(dy: tf.Tensor, ids: tf.Tensor, V: number, D: number): tf.Tensor {
  if (tf.getBackend() === 'webgpu') {
    return tf.unsortedSegmentSum(tf.reshape(dy, [-1, D]), tf.reshape(ids, [-1]) as tf.Tensor1D, V);
  }
  // wasm lacks unsortedSegmentSum; on backends in the process' own memory reading back is a copy, so the sum is made in JS.
  const rows = ids.dataSync();
  const gradients = dy.dataSync();
  const sum = new Float32Array(V * D);
  for (let i = 0; i < rows.length; i++) {
    const from = i * D;
    const to = rows[i]! * D;
    for (let j = 0; j < D; j++) sum[to + j]! += gradients[from + j]!;
  }
  return tf.tensor2d(sum, [V, D]);
}

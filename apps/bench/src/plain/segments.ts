// Shapes: N rows of a table, M ids, D width.
import * as tf from '@tensorflow/tfjs-core';

export function gatherRows(x: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  return tf.tidy(() => (hasSegmentSum() ? tf.gather(x, ids) : tf.matMul(incidence(ids, x.shape[0]), x)));
}

export function segmentMean(x: tf.Tensor2D, ids: tf.Tensor1D, count: number): tf.Tensor2D {
  return tf.tidy(() => {
    const sum = (rows: tf.Tensor2D): tf.Tensor2D =>
      hasSegmentSum() ? tf.unsortedSegmentSum(rows, ids, count) : tf.matMul(incidence(ids, count), rows, true);
    return tf.div(sum(x), tf.maximum(sum(tf.ones([ids.size, 1])), 1));
  });
}

/** What the two are made of here, for people. */
export function segmentRoute(): string {
  if (hasSegmentSum()) return "tfjs' gather and unsortedSegmentSum";
  return "products with an incidence matrix, as tfjs' unsortedSegmentSum is missing here";
}

/** The sum is also the gradient of a gather. */
function hasSegmentSum(): boolean {
  return tf.getKernel('UnsortedSegmentSum', tf.getBackend()) !== undefined;
}

/** `[M, N]`: 1 where a row has the id of a column. Cast: on wasm a oneHot of float32 holds the bits of integers. */
function incidence(ids: tf.Tensor1D, count: number): tf.Tensor2D {
  return tf.cast(tf.oneHot(ids, count), 'float32') as tf.Tensor2D;
}

// Shapes: N rows of a table, M ids, D width.
import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { withGradient } from './custom-gradient';
import { IndexError, ShapeError } from './errors';
import { expectShape } from './shapes';
import { hasWasmKernels } from './wasm/multiply';
import { wasmGatherRows, wasmSegmentSum } from './wasm/segments';

/**
 * Rows of a table by number.
 *
 * @param x `[N, D]`, float32.
 * @param ids int32 `[M]`, in `[0, N)`; a row may be taken any number of times. No gradient.
 * @returns `[M, D]`. The caller disposes it.
 * @throws ShapeError if a shape does not fit. DisposedError if an input was disposed.
 * @throws IndexError if an id names no row. Not on webgpu, where that would read the ids back: such a row is undefined there.
 */
export function gatherRows(x: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  return gather('gatherRows', x, ids);
}

/** `gatherRows` that calls itself `where` in messages. */
export function gather(where: string, x: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  if (x.rank !== 2) throw new ShapeError(`${where}: expected x of shape [N, D], received [${x.shape.join(', ')}].`);
  const [N] = x.shape;
  checkIds(where, ids, N);
  return withGradient<tf.Tensor2D>(
    where,
    { x },
    (save) => {
      save([ids]);
      return rowsOf(x, ids);
    },
    (dy, saved) => [segmentSum(dy, saved[0] as tf.Tensor1D, N)],
  );
}

/**
 * Mean of the rows that have the same id.
 *
 * @param x `[M, D]`, float32.
 * @param ids int32 `[M]`, in `[0, count)`. No gradient.
 * @param count Number of segments.
 * @returns `[count, D]`; zeros for a segment without rows. The caller disposes it.
 * @throws ShapeError if a shape does not fit. DisposedError if an input was disposed.
 * @throws IndexError if an id names no segment. Not on webgpu, where that would read the ids back: the result is undefined there.
 */
export function segmentMean(x: tf.Tensor2D, ids: tf.Tensor1D, count: number): tf.Tensor2D {
  if (x.rank !== 2) throw new ShapeError(`segmentMean: expected x of shape [M, D], received [${x.shape.join(', ')}].`);
  const [M] = x.shape;
  expectShape('segmentMean', { ids }, { ids: [M] });
  checkIds('segmentMean', ids, count);
  return withGradient<tf.Tensor2D>(
    'segmentMean',
    { x },
    (save) => {
      const sizes = segmentSum(tf.ones([M, 1]), ids, count); // [count, 1]
      const shares = tf.div(1, tf.maximum(sizes, 1));
      save([ids, shares]);
      return tf.mul(segmentSum(x, ids, count), shares);
    },
    (dy, saved) => {
      const [ids2, shares] = saved as [tf.Tensor1D, tf.Tensor2D];
      return [rowsOf(tf.mul(dy, shares), ids2)];
    },
  );
}

function checkIds(where: string, ids: tf.Tensor1D, count: number): void {
  if (ids.rank !== 1) throw new ShapeError(`${where}: expected ids of shape [M], received [${ids.shape.join(', ')}].`);
  if (ids.dtype !== 'int32') throw new IndexError(`${where}: expected ids of dtype int32, received ${ids.dtype}.`);
  expectAlive(where, { ids });
  if (tf.getBackend() === 'webgpu') return;
  const at = ids.dataSync().findIndex((id) => id < 0 || id >= count);
  if (at >= 0) throw new IndexError(`${where}: expected ids from 0 to ${count - 1}, received ${ids.dataSync()[at]} at position ${at}.`);
}

function rowsOf(x: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  return hasWasmKernels() ? wasmGatherRows(x, ids) : tf.gather(x, ids);
}

/** Sums `[count, D]` of the rows of `x` `[M, D]` that have the same id. */
function segmentSum(x: tf.Tensor2D, ids: tf.Tensor1D, count: number): tf.Tensor2D {
  if (hasWasmKernels()) return wasmSegmentSum(x, ids, count);
  if (tf.getKernel('UnsortedSegmentSum', tf.getBackend())) return tf.unsortedSegmentSum(x, ids, count);
  // tfjs' own wasm has no such kernel, and its oneHot of float32 writes the bits of integers.
  return tf.matMul(tf.cast(tf.oneHot(ids, count), 'float32'), x, true);
}

// Shapes: N rows of a table, M ids, D width.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const GATHER = 'SgdiffGatherRows';
const SUM = 'SgdiffSegmentSum';

/** Rows `[M, D]` of `x` `[N, D]`. @param ids int32 `[M]`, all in `[0, N)`. No gradient. The caller disposes it. */
export function wasmGatherRows(x: tf.Tensor2D, ids: tf.Tensor1D): tf.Tensor2D {
  ensureRegistered(GATHER, gatherKernel);
  return tf.engine().runKernel(GATHER, { x, ids }) as tf.Tensor2D;
}

/** Sums `[count, D]` of the rows of `x` `[M, D]` that have the same id. @param ids int32 `[M]`, all in `[0, count)`. No gradient. The caller disposes it. */
export function wasmSegmentSum(x: tf.Tensor2D, ids: tf.Tensor1D, count: number): tf.Tensor2D {
  ensureRegistered(SUM, sumKernel);
  return tf.engine().runKernel(SUM, { x, ids }, { count }) as tf.Tensor2D;
}

function gatherKernel({ inputs, backend }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, ids } = inputs as Record<'x' | 'ids', tf.TensorInfo>;
  const [M] = ids.shape as [number];
  const D = x.shape[1]!;
  const y = wasm.makeOutput([M, D], 'float32');
  const addresses = [x, ids, y].map((tensor) => addressOf(wasm, tensor));
  runRanges(wasm, 'gatherRows', [...addresses, D], { total: M, itemWork: D });
  return y;
}

function sumKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, ids } = inputs as Record<'x' | 'ids', tf.TensorInfo>;
  const { count } = attrs as { count: number };
  const [M, D] = x.shape as [number, number];
  const out = wasm.makeOutput([count, D], 'float32');
  const addresses = [x, ids, out].map((tensor) => addressOf(wasm, tensor));
  const total = (simdKernels() as SimdKernels).segmentItems(D);
  runRanges(wasm, 'segmentSum', [...addresses, M, count, D], { total, itemWork: ((M + count) * D) / total });
  return out;
}

import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const SUM_ROWS = 'SgdiffSumRows';

/** Sum over the rows, `[N, O]` -> `[O]`, in parts of fixed size, which also keeps the rounding small. No gradient. The caller disposes it. */
export function wasmSumRows(x: tf.Tensor2D): tf.Tensor1D {
  ensureRegistered(SUM_ROWS, sumRowsKernel);
  return tf.engine().runKernel(SUM_ROWS, { x }) as tf.Tensor1D;
}

function sumRowsKernel({ inputs, backend }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const x = inputs.x!;
  const [N, O] = x.shape as [number, number];
  const out = wasm.makeOutput([O], 'float32');
  const parts = Math.max(1, (simdKernels() as SimdKernels).sumRowsParts(N));
  withScratch(wasm, parts * O * 4, (sums) => {
    runRanges(wasm, 'sumRows', [addressOf(wasm, x), sums, N, O], { total: parts, itemWork: (N * O) / parts });
    runRanges(wasm, 'sumParts', [sums, addressOf(wasm, out), parts, O], { total: O, itemWork: parts });
  });
  return out;
}

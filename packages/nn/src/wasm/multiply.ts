// Products of matrices on wasm: 38 GFLOP/s on one thread where tfjs' matMul gives 28 in its best case and 1.9 in others.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const MULTIPLY = 'SgdiffMultiply';

/** So few rows times so many numbers go by columns: what costs there is to read the numbers. */
const FEW_ROWS = 256;
const MANY_NUMBERS = 2 ** 16;
/** Ranges of columns begin at multiples of this: two lines of the cache. */
const COLUMNS = 32;

/** `plain`: a b. `transposed`: a bᵀ. `overRows`: aᵀ b. */
type Kind = 'plain' | 'transposed' | 'overRows';

/** Whether the kernels here can be used. */
export function hasWasmKernels(): boolean {
  return simdKernels() !== null;
}

/** `a b (+ bias)`, `[M, K]` and `[K, N]` -> `[M, N]`. No gradient. The caller disposes it. */
export function wasmMultiply(a: tf.Tensor2D, b: tf.Tensor2D, bias?: tf.Tensor1D): tf.Tensor2D {
  return run('plain', a, b, bias);
}

/** `a bᵀ`, `[M, K]` and `[N, K]` -> `[M, N]`. No gradient. The caller disposes it. */
export function wasmMultiplyTransposed(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return run('transposed', a, b);
}

/** `aᵀ b`, `[M, K]` and `[M, N]` -> `[K, N]`. No gradient. The caller disposes it. */
export function wasmMultiplyOverRows(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return run('overRows', a, b);
}

function run(kind: Kind, a: tf.Tensor2D, b: tf.Tensor2D, bias?: tf.Tensor1D): tf.Tensor2D {
  ensureRegistered(MULTIPLY, multiplyKernel);
  return tf.engine().runKernel(MULTIPLY, bias ? { a, b, bias } : { a, b }, { kind }) as tf.Tensor2D;
}

function multiplyKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { a, b, bias } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo; bias?: tf.TensorInfo };
  const { kind } = attrs as { kind: Kind };
  return kind === 'overRows' ? multiplyOverRows(wasm, a, b) : multiply(wasm, a, b, bias, kind === 'transposed');
}

function multiply(
  wasm: WasmBackend,
  a: tf.TensorInfo,
  b: tf.TensorInfo,
  bias: tf.TensorInfo | undefined,
  transposed: boolean,
): tf.TensorInfo {
  const [M, K] = a.shape as [number, number];
  const N = b.shape[transposed ? 0 : 1]!;
  const out = wasm.makeOutput([M, N], 'float32');
  const [from, to] = [addressOf(wasm, a), addressOf(wasm, out)];
  if (M <= FEW_ROWS && K * N >= MANY_NUMBERS) {
    const rowBytes = (transposed ? K : N) * 4;
    const shift = bias ? addressOf(wasm, bias) : 0;
    const args = [from, K * 4, addressOf(wasm, b), rowBytes, Number(transposed), shift, to, N * 4, M, K];
    runRanges(wasm, 'multiplyByColumns', args, {
      total: N,
      itemWork: 2 * M * K,
      rangesStartAt: COLUMNS,
      scratchBytes: kernels().byColumnsScratchBytes(),
    });
    return out;
  }
  withPanels(wasm, b, K, N, transposed, bias, (panels, shift) => {
    runRanges(wasm, 'multiply', [from, K * 4, panels, shift, to, N * 4, K, N], {
      total: M,
      itemWork: 2 * K * N,
      rangesStartAt: 4,
      scratchBytes: kernels().multiplyScratchBytes(),
    });
  });
  return out;
}

/**
 * Packs `b [K, N]` (or the transpose of `b [N, K]`) into panels of eight columns, and a bias to whole panels.
 *
 * @param use Gets both addresses (0: no bias); they are free again afterwards.
 */
export function withPanels(
  wasm: WasmBackend,
  b: tf.TensorInfo,
  K: number,
  N: number,
  transposed: boolean,
  bias: tf.TensorInfo | undefined,
  use: (panels: number, shift: number) => void,
): void {
  const width = Math.ceil(N / 8) * 8;
  withScratch(wasm, (K + 1) * width * 4, (panels) => {
    const [kernel, row] = transposed ? (['packTransposedPanels', K * 4] as const) : (['packPanels', N * 4] as const);
    runRanges(wasm, kernel, [addressOf(wasm, b), row, panels, K, N], { total: width / 8, itemWork: 32 * K });
    const shift = panels + K * width * 4;
    if (bias) runRanges(wasm, 'packPanels', [addressOf(wasm, bias), 0, shift, 1, N], { total: width / 8, grain: width / 8 });
    use(panels, bias ? shift : 0);
  });
}

function multiplyOverRows(wasm: WasmBackend, a: tf.TensorInfo, b: tf.TensorInfo): tf.TensorInfo {
  const [M, K] = a.shape as [number, number];
  const N = b.shape[1]!;
  const out = wasm.makeOutput([K, N], 'float32');
  const panels = Math.ceil(N / 8);
  const args = [addressOf(wasm, a), K * 4, addressOf(wasm, b), N * 4, addressOf(wasm, out), N * 4, M, K, N];
  runRanges(wasm, 'multiplyOverRows', args, {
    total: panels,
    itemWork: 16 * M * K,
    scratchBytes: kernels().overRowsScratchBytes(panels),
  });
  return out;
}

function kernels(): SimdKernels {
  return simdKernels() as SimdKernels;
}

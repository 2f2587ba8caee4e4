// Passes over all weights of a model at once; the weights stay the tensors they are.
import * as tf from '@tensorflow/tfjs-core';
import type { AdamWSettings } from '../adamw';
import { addressOf, ensureRegistered, withScratch, type KernelArgs, type WasmBackend } from './backend';
import { memoryOf, simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const ADAMW = 'SgdiffAdamW';
const CLIP = 'SgdiffClip';
const AVERAGE = 'SgdiffMovingAverage';

/** Bytes of a row of the table of kernels/optimiser.ts. */
const ROW = 32;

export type WasmAdamWSettings = AdamWSettings & {
  /** Weight decay of each tensor. */
  readonly decays: readonly number[];
  readonly maxNorm?: number;
};

/**
 * One step of AdamW.
 *
 * @param m v Moments of all weights, one vector each. Changed in place: their memory must be nobody else's.
 * @returns New weights and, with `maxNorm`, the norm of the gradients before clipping. The caller disposes both.
 */
export function wasmAdamW(
  weights: readonly tf.Tensor[],
  grads: readonly tf.Tensor[],
  m: tf.Tensor1D,
  v: tf.Tensor1D,
  settings: WasmAdamWSettings,
): { weights: tf.Tensor[]; norm: tf.Scalar | undefined } {
  ensureRegistered(ADAMW, adamWKernel);
  const inputs = { m, v, ...named('g', grads), ...named('w', weights) };
  const outputs: unknown = tf.engine().runKernel(ADAMW, inputs, { ...settings, decays: [...settings.decays] });
  const tensors = outputs as tf.Tensor[];
  return { weights: tensors.slice(0, weights.length), norm: tensors[weights.length] as tf.Scalar | undefined };
}

/** Gradients scaled to a common norm of at most `maxNorm`, and their norm before. The caller disposes them. */
export function wasmClip(grads: readonly tf.Tensor[], maxNorm: number): { grads: tf.Tensor[]; norm: tf.Scalar } {
  ensureRegistered(CLIP, clipKernel);
  const outputs: unknown = tf.engine().runKernel(CLIP, named('g', grads), { maxNorm });
  const [norm, ...clipped] = outputs as [tf.Scalar, ...tf.Tensor[]];
  return { grads: clipped, norm };
}

/** average = average · rate + weights · (1 - rate). @param average Changed in place: its memory must be nobody else's. */
export function wasmMovingAverage(average: tf.Tensor1D, weights: readonly tf.Tensor[], rate: number): void {
  ensureRegistered(AVERAGE, averageKernel);
  tf.engine().runKernel(AVERAGE, { average, ...named('w', weights) }, { rate });
}

function adamWKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const { beta1, beta2, eps, rate, step, decays, maxNorm } = attrs as WasmAdamWSettings;
  const [grads, weights] = [listed(inputs, 'g'), listed(inputs, 'w')];
  const next = weights.map(({ shape }) => wasm.makeOutput(shape, 'float32'));
  const norm = maxNorm === undefined ? undefined : wasm.makeOutput([], 'float32');
  withTable(wasm, [grads, weights, next], decays, (table, blocks) => {
    const factor = norm ? clipFactor(wasm, table, blocks, maxNorm!, norm) : 1;
    const moments = [addressOf(wasm, inputs.m!), addressOf(wasm, inputs.v!)];
    const size = rate / (1 - beta1 ** step);
    const root = 1 / Math.sqrt(1 - beta2 ** step);
    const numbers = [factor, beta1, 1 - beta1, beta2, 1 - beta2, rate, size, root, eps];
    runRanges(wasm, 'adamW', [table, ...moments, ...numbers], { total: blocks, itemWork: BLOCK_WORK });
  });
  return norm ? [...next, norm] : next;
}

function clipKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const grads = listed(inputs, 'g');
  const clipped = grads.map(({ shape }) => wasm.makeOutput(shape, 'float32'));
  const norm = wasm.makeOutput([], 'float32');
  withTable(wasm, [grads, clipped], [], (table, blocks) => {
    const factor = clipFactor(wasm, table, blocks, attrs.maxNorm as number, norm);
    runRanges(wasm, 'scaleAll', [table, factor], { total: blocks, itemWork: BLOCK_WORK });
  });
  return [norm, ...clipped];
}

function averageKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo[] {
  const wasm = backend as WasmBackend;
  const rate = attrs.rate as number;
  withTable(wasm, [listed(inputs, 'w')], [], (table, blocks) => {
    const args = [table, addressOf(wasm, inputs.average!), rate, 1 - rate];
    runRanges(wasm, 'movingAverage', args, { total: blocks, itemWork: BLOCK_WORK });
  });
  return [];
}

/** Operations per block, roughly: what counts is the memory that it reads. */
const BLOCK_WORK = 40_000;

/** What the gradients, the first tensors of the table, are to be multiplied by. Writes their norm. */
function clipFactor(wasm: WasmBackend, table: number, blocks: number, maxNorm: number, norm: tf.TensorInfo): number {
  let squares = 0;
  withScratch(wasm, blocks * 8, (sums) => {
    runRanges(wasm, 'squareSums', [table, sums], { total: blocks, itemWork: BLOCK_WORK });
    for (const sum of new Float64Array(memoryOf(wasm.wasm)!.buffer, sums, blocks)) squares += sum;
  });
  const root = Math.sqrt(squares);
  wasm.typedArrayFromHeap(norm)[0] = root;
  return Math.min(1, maxNorm / (root + 1e-6)); // 1e-6 as in PyTorch
}

/** The table of kernels/optimiser.ts, for up to three lists of tensors of the same sizes. Gives its address and the number of blocks. */
function withTable(
  wasm: WasmBackend,
  lists: readonly (readonly tf.TensorInfo[])[],
  decays: readonly number[],
  use: (table: number, blocks: number) => void,
): void {
  const kernels = simdKernels() as SimdKernels;
  const first = lists[0]!;
  const bytes = (first.length + 1) * ROW;
  withScratch(wasm, bytes, (table) => {
    const view = new DataView(memoryOf(wasm.wasm)!.buffer, table, bytes);
    let at = 0;
    let block = 0;
    first.forEach(({ shape }, i) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const row = i * ROW;
      view.setInt32(row, at, true);
      view.setInt32(row + 4, size, true);
      view.setInt32(row + 8, block, true);
      view.setFloat32(row + 12, decays[i] ?? 0, true);
      lists.forEach((list, j) => view.setUint32(row + 16 + 4 * j, addressOf(wasm, list[i]!), true));
      at += size;
      block += kernels.blocksOf(size);
    });
    view.setInt32(first.length * ROW + 8, 0x7fffffff, true); // no block lies behind
    use(table, block);
  });
}

function named(prefix: string, tensors: readonly tf.Tensor[]): Record<string, tf.Tensor> {
  return Object.fromEntries(tensors.map((tensor, i) => [`${prefix}${i}`, tensor]));
}

function listed(inputs: Record<string, tf.TensorInfo>, prefix: string): tf.TensorInfo[] {
  const tensors: tf.TensorInfo[] = [];
  for (let i = 0; inputs[`${prefix}${i}`]; i++) tensors.push(inputs[`${prefix}${i}`]!);
  return tensors;
}

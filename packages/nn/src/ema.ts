import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { CheckpointError } from './errors';
import { joinFlat, splitFlat } from './flat';
import { expectShape } from './shapes';
import { disposeParams, flattenParams, mapParams, type ParamTree } from './tree';
import { hasWasmKernels } from './wasm/multiply';
import { wasmMovingAverage } from './wasm/optimiser';

export type EmaOptions = {
  readonly decay: number;
  /** Starts with a shorter memory: the decay is at most (1 + n) / (10 + n) after n updates. */
  readonly warmup?: boolean;
};

export type Ema<T extends ParamTree> = {
  /** Moves the average towards the weights. Borrows them. Throws ShapeError or DisposedError if they do not fit, and changes nothing then. */
  update(params: T): void;
  /** The averaged weights. Owned by the average and valid until the next `update`, `loadState` or `dispose`: clone to keep. */
  readonly params: T;
  readonly numUpdates: number;
  /** `numUpdates`, and `params.<path>` per weight. The caller disposes the tensors. */
  state(): Record<string, tf.Tensor>;
  /** Continues from a saved state. Borrows it. Throws CheckpointError if it does not fit, and changes nothing then. */
  loadState(record: Readonly<Record<string, tf.Tensor>>): void;
  dispose(): void;
};

/** An exponential moving average of weights, which starts at their present values. Borrows `params`. */
export function createEma<T extends ParamTree>(params: T, options: EmaOptions): Ema<T> {
  const entries = flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape, size: tensor.size }));
  // The template's own tensors may be disposed later; the tree's form is kept with positions instead.
  const positions = new Map(entries.map(({ path }, i) => [path, i]));
  const form = params;
  let flat = joinFlat(flattenParams(params).map(({ tensor }) => tensor));
  let tree: T | undefined;
  let numUpdates = 0;

  function forgetTree(): void {
    if (tree) disposeParams(tree);
    tree = undefined;
  }

  function replace(next: tf.Tensor1D): void {
    flat.dispose();
    flat = next;
    forgetTree();
  }

  return {
    update(current) {
      const now = Object.fromEntries(flattenParams(current).map(({ path, tensor }) => [path, tensor]));
      expectShape('Ema.update', now, Object.fromEntries(entries.map(({ path, shape }) => [path, shape])));
      expectAlive('Ema.update', now);
      const weights = entries.map(({ path }) => now[path]!);
      const rate = emaRate(options, numUpdates);
      numUpdates++;
      if (hasWasmKernels()) {
        wasmMovingAverage(flat, weights, rate);
        forgetTree();
        return;
      }
      replace(tf.tidy(() => tf.add(tf.mul(flat, rate), tf.mul(joinFlat(weights), 1 - rate)) as tf.Tensor1D));
    },
    get params() {
      if (!tree) {
        const parts = splitFlat(flat, entries);
        tree = mapParams(form, (_, path) => tf.keep(parts[positions.get(path)!]!));
      }
      return tree;
    },
    get numUpdates() {
      return numUpdates;
    },
    state: () =>
      tf.tidy(() => {
        const record: Record<string, tf.Tensor> = { numUpdates: tf.scalar(numUpdates, 'int32') };
        splitFlat(flat, entries).forEach((part, i) => (record[`params.${entries[i]!.path}`] = part));
        return record;
      }),
    loadState(record) {
      requireEmaState(entries, record);
      numUpdates = record.numUpdates!.dataSync()[0]!;
      replace(joinFlat(entries.map(({ path }) => record[`params.${path}`]!)));
    },
    dispose() {
      forgetTree();
      if (!flat.isDisposed) flat.dispose();
    },
  };
}

/** How much of the average stays at the next update. */
export function emaRate({ decay, warmup = false }: EmaOptions, numUpdates: number): number {
  return warmup ? Math.min(decay, (1 + numUpdates) / (10 + numUpdates)) : decay;
}

/** @throws CheckpointError if a saved state does not fit weights of these names and shapes. */
export function requireEmaState(
  entries: readonly { readonly path: string; readonly shape: number[] }[],
  record: Readonly<Record<string, tf.Tensor>>,
): void {
  const names = entries.map(({ path }) => `params.${path}`);
  const missing = ['numUpdates', ...names].filter((name) => !Object.hasOwn(record, name));
  const misshapen = entries
    .map(({ path, shape }) => ({ name: `params.${path}`, shape }))
    .filter(({ name, shape }) => Object.hasOwn(record, name) && record[name]!.shape.join() !== shape.join())
    .map(({ name }) => name);
  if (missing.length + misshapen.length > 0) {
    throw new CheckpointError(
      `Ema.loadState: the state does not fit the weights. Missing: [${missing.join(', ')}]; ` +
        `misshapen: [${misshapen.join(', ')}]. Was it saved with another model?`,
      { code: 'mismatch', missing, misshapen },
    );
  }
}

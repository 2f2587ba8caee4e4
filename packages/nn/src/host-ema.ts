import * as tf from '@tensorflow/tfjs-core';
import { emaRate, requireEmaState, type EmaOptions } from './ema';
import { flattenParams, type ParamTree } from './tree';

/** A moving average over plain arrays, beside `HostAdamW`. */
export type HostEma = {
  /** The averages, in the order of the weights. `update` changes them in place. */
  readonly averages: Float32Array;
  /** Moves the averages towards the weights. Borrows them. */
  update(weights: Float32Array): void;
  /** As of `Ema`: `numUpdates`, and `params.<path>` per weight. The caller disposes the tensors. */
  state(): Record<string, tf.Tensor>;
  /** Continues from a saved state, of this or of `Ema`. Borrows it. Throws CheckpointError if it does not fit, and changes nothing then. */
  loadState(record: Readonly<Record<string, tf.Tensor>>): void;
};

/**
 * The same average as `createEma` in one pass over plain arrays.
 *
 * @param params Gives names, shapes and the order. Borrowed.
 * @param weights Where the averages start, in the order of `flattenParams(params)`. Borrowed.
 */
export function createHostEma(params: ParamTree, weights: Float32Array, options: EmaOptions): HostEma {
  const entries = flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape, size: tensor.size }));
  const averages = Float32Array.from(weights);
  let numUpdates = 0;
  return {
    averages,
    update(now) {
      const rate = emaRate(options, numUpdates);
      numUpdates++;
      for (let i = 0; i < averages.length; i++) averages[i] = averages[i]! * rate + now[i]! * (1 - rate);
    },
    state() {
      const record: Record<string, tf.Tensor> = { numUpdates: tf.scalar(numUpdates, 'int32') };
      let at = 0;
      for (const { path, shape, size } of entries) {
        record[`params.${path}`] = tf.tensor(averages.slice(at, at + size), shape);
        at += size;
      }
      return record;
    },
    loadState(record) {
      requireEmaState(entries, record);
      numUpdates = record.numUpdates!.dataSync()[0]!;
      let at = 0;
      for (const { path, size } of entries) {
        averages.set(record[`params.${path}`]!.dataSync(), at);
        at += size;
      }
    },
  };
}

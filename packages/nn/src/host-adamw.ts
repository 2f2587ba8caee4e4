import * as tf from '@tensorflow/tfjs-core';
import { requireAdamWState, requireBetas, type AdamWOptions } from './adamw';
import { flattenParams, type ParamTree } from './tree';

export type HostAdamWStepOptions = {
  readonly learningRate?: number;
  /** Gradients are scaled so that their common norm is at most this. */
  readonly maxNorm?: number;
};

/** AdamW over plain arrays, for gradients that are in the computer's own memory (from workers or other processes). */
export type HostAdamW = {
  /** All weights, one after the other in the order of `flattenParams`. `step` changes them in place. */
  readonly weights: Float32Array;
  /**
   * One update of `weights`.
   *
   * @param grads Gradients in the order of `weights`. Borrowed.
   * @returns The norm of the gradients before clipping. If it is not finite, nothing was changed.
   */
  step(grads: Float32Array, options?: HostAdamWStepOptions): number;
  /** As of `AdamW`: `step`, and `m.<path>`, `v.<path>` per weight. The caller disposes the tensors. */
  state(): Record<string, tf.Tensor>;
  /** Continues from a saved state, of this or of `AdamW`. Borrows it. Throws CheckpointError or ShapeError if it does not fit, and changes nothing then. */
  loadState(record: Readonly<Record<string, tf.Tensor>>): void;
};

/**
 * The same optimiser as `createAdamW` in one pass over plain arrays.
 *
 * @param params Gives names, shapes and the order. Borrowed, never assigned.
 * @param weights The values to train, in the order of `flattenParams(params)`; may lie in shared memory. Kept.
 * @see arXiv:1711.05101, algorithm 2. As in PyTorch the decay is multiplied by the learning rate.
 */
export function createHostAdamW(params: ParamTree, weights: Float32Array, options: AdamWOptions): HostAdamW {
  const { learningRate, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01, decayFilter = () => true } = options;
  requireBetas('createHostAdamW', beta1, beta2);
  const entries = flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape, size: tensor.size, decays: decayFilter(path, tensor) }));
  const m = new Float32Array(weights.length);
  const v = new Float32Array(weights.length);
  let steps = 0;

  return {
    weights,
    step(grads, { learningRate: rate = learningRate, maxNorm } = {}) {
      let squares = 0;
      for (let i = 0; i < grads.length; i++) squares += grads[i]! * grads[i]!;
      const norm = Math.sqrt(squares);
      if (!Number.isFinite(norm)) return norm;
      const factor = maxNorm === undefined ? 1 : Math.min(1, maxNorm / (norm + 1e-6)); // 1e-6 as in PyTorch
      steps++;
      const size = rate / (1 - beta1 ** steps);
      const rootScale = 1 / Math.sqrt(1 - beta2 ** steps);
      let at = 0;
      for (const { size: length, decays } of entries) {
        const keep = decays ? 1 - rate * weightDecay : 1;
        for (const end = at + length; at < end; at++) {
          const g = grads[at]! * factor;
          const m1 = beta1 * m[at]! + (1 - beta1) * g;
          const v1 = beta2 * v[at]! + (1 - beta2) * g * g;
          m[at] = m1;
          v[at] = v1;
          weights[at] = weights[at]! * keep - (size * m1) / (Math.sqrt(v1) * rootScale + eps);
        }
      }
      return norm;
    },
    state() {
      const record: Record<string, tf.Tensor> = { step: tf.scalar(steps, 'int32') };
      let at = 0;
      for (const { path, shape, size } of entries) {
        record[`m.${path}`] = tf.tensor(m.slice(at, at + size), shape);
        record[`v.${path}`] = tf.tensor(v.slice(at, at + size), shape);
        at += size;
      }
      return record;
    },
    loadState(record) {
      requireAdamWState(entries, record);
      steps = record.step!.dataSync()[0]!;
      let at = 0;
      for (const { path, size } of entries) {
        m.set(record[`m.${path}`]!.dataSync(), at);
        v.set(record[`v.${path}`]!.dataSync(), at);
        at += size;
      }
    },
  };
}

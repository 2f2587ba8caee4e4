import { createRng } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { partOf, WHOLE_BATCH, type BatchPart } from '../training/data-parallel';
import type { Stage } from '../training/loop';

export type ToyParams = { readonly weight: tf.Tensor; readonly bias: tf.Tensor };

const FEATURES = 3;
const BATCH = 8;

/** Linear regression towards known weights: each batch is a function of its step. */
export function toyStage(over: Partial<Stage<ToyParams>> = {}): Stage<ToyParams> {
  return {
    name: 'toy',
    config: { features: FEATURES, data: { seed: 5 }, steps: 40 },
    optimiser: { learningRate: 0.05, warmupSteps: 3, decayShare: 0.5, finalShare: 0.1, weightDecay: 0.01, clipNorm: 10, emaDecay: 0.9 },
    batchSize: BATCH,
    steps: 40,
    splitsBatch: true,
    init: () => {
      const rng = createRng('toy');
      return { weight: tf.tensor(rng.fillNormal(new Float32Array(FEATURES)), [FEATURES, 1]), bias: tf.zeros([1]) };
    },
    loss: (params, step, part) => toyLoss(params, step, part),
    ...over,
  };
}

export function toyLoss(params: ToyParams, step: number, part: BatchPart = WHOLE_BATCH): { loss: tf.Scalar; terms: Record<string, tf.Scalar> } {
  const values = createRng('toy-data', step).fillNormal(new Float32Array(BATCH * FEATURES));
  const rows = Array.from(partOf(Int32Array.from({ length: BATCH }, (_, i) => i), part));
  const inputs = rows.map((row) => Array.from(values.slice(row * FEATURES, (row + 1) * FEATURES)));
  const targets = inputs.map(([a, b, c]) => [2 * a - b + 0.5 * c + 3]);
  const predicted = tf.add(tf.matMul(tf.tensor2d(inputs), params.weight as tf.Tensor2D), params.bias);
  const loss = tf.mean(tf.squaredDifference(predicted, tf.tensor2d(targets))) as tf.Scalar;
  return { loss, terms: { squared: loss } };
}

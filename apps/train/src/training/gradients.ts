import { valueAndGrads, type Gradients, type ParamTree } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import type { BatchPart } from './data-parallel';
import type { Stage } from './loop';

/** What one step computes: the loss, what is logged of it by name, and the gradient of each weight. */
export type StageGradients = {
  readonly loss: tf.Scalar;
  readonly terms: Readonly<Record<string, tf.Scalar>>;
  readonly grads: Gradients;
};

/** Loss and gradients of a stage on its part of the batch of `step`. The caller disposes them. */
export function stageGradients<T extends ParamTree>(stage: Stage<T>, params: T, step: number, part: BatchPart): StageGradients {
  if (stage.gradients) return stage.gradients(params, step, part);
  const kept: Record<string, tf.Scalar> = {};
  try {
    const { value, grads } = valueAndGrads(() => {
      const { loss, terms } = stage.loss(params, step, part);
      for (const [name, term] of Object.entries(terms)) kept[name] = tf.keep(tf.clone(term));
      return loss;
    }, params);
    return { loss: value, terms: kept, grads };
  } catch (error) {
    tf.dispose(kept);
    throw error;
  }
}

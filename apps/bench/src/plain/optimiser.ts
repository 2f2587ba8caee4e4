import * as tf from '@tensorflow/tfjs-core';

export type PlainOptimiserOptions = {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
  readonly emaDecay: number;
};

/** Clipping, AdamW (decay of matrices and kernels) and a moving average, by tfjs' Adam and operations on each variable. */
export function createPlainOptimiser(
  variables: readonly tf.Variable[],
  { learningRate, weightDecay, clipNorm, emaDecay }: PlainOptimiserOptions,
): { step(grads: tf.NamedTensorMap): tf.Scalar; dispose(): void } {
  const adam = tf.train.adam(learningRate, 0.9, 0.999, 1e-8);
  const averages = variables.map((variable) => tf.tidy(() => tf.variable(tf.clone(variable), false)));
  return {
    /** @param grads By the variables' names. Borrowed. @returns The norm before clipping. The caller disposes it. */
    step(grads) {
      return tf.tidy(() => {
        const norm = tf.sqrt(tf.sum(tf.stack(Object.values(grads).map((grad) => tf.sum(tf.square(grad)))))) as tf.Scalar;
        const factor = tf.minimum(1, tf.div(clipNorm, tf.add(norm, 1e-6)));
        const clipped = Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, tf.mul(grad, factor)]));
        for (const variable of variables) {
          if (variable.rank > 1) variable.assign(tf.mul(variable, 1 - learningRate * weightDecay));
        }
        adam.applyGradients(clipped);
        averages.forEach((average, i) => {
          average.assign(tf.add(tf.mul(average, emaDecay), tf.mul(variables[i], 1 - emaDecay)));
        });
        return norm;
      });
    },
    dispose() {
      adam.dispose();
      tf.dispose(averages);
    },
  };
}

import type { LinearParams } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';

export function linear<R extends tf.Rank>({ weight, bias }: LinearParams, x: tf.Tensor<R>): tf.Tensor<R> {
  const [I, O] = weight.shape;
  return tf.tidy(() => {
    const y = tf.matMul(tf.reshape(x, [-1, I]) as tf.Tensor2D, weight);
    const shape = [...x.shape.slice(0, -1), O] as tf.ShapeMap[R];
    return tf.reshape<R>(bias ? tf.add(y, bias) : y, shape);
  });
}

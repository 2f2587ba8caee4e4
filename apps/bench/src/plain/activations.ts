import type { GegluParams } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { linear } from './linear';

export function silu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(x, tf.sigmoid(x)) as T);
}

export function gelu<T extends tf.Tensor>(x: T): T {
  return tf.tidy(() => tf.mul(tf.mul(x, 0.5), tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2)))) as T);
}

export function geglu<R extends tf.Rank>({ proj }: GegluParams, x: tf.Tensor<R>): tf.Tensor<R> {
  return tf.tidy(() => {
    const [value, gate] = tf.split(linear(proj, x), 2, x.rank - 1) as [tf.Tensor, tf.Tensor];
    return tf.mul(value, gelu(gate)) as tf.Tensor<R>;
  });
}

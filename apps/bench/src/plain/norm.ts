// Shapes: B batch, S positions, G groups, M channels per group, C = G M channels.
import type { GroupNormOptions, LayerNormOptions, NormParams } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { silu } from './activations';

export function groupNorm<R extends tf.Rank>(params: NormParams, x: tf.Tensor<R>, options: GroupNormOptions): tf.Tensor<R> {
  const { groups, eps = 1e-5 } = options;
  const B = x.shape[0];
  const C = params.weight.shape[0];
  return tf.tidy(() => {
    const grouped = tf.reshape(x, [B, x.size / (B * C), groups, C / groups]); // [B, S, G, M]
    return scaled(params, tf.reshape(normalised(grouped, [1, 3], eps), x.shape)) as tf.Tensor<R>;
  });
}

export function groupNormSilu<R extends tf.Rank>(params: NormParams, x: tf.Tensor<R>, options: GroupNormOptions): tf.Tensor<R> {
  return tf.tidy(() => silu(groupNorm(params, x, options)));
}

export function layerNorm<R extends tf.Rank>(params: NormParams, x: tf.Tensor<R>, options: LayerNormOptions = {}): tf.Tensor<R> {
  return tf.tidy(() => scaled(params, normalised(x, [x.rank - 1], options.eps ?? 1e-5)) as tf.Tensor<R>);
}

function normalised(x: tf.Tensor, axes: number[], eps: number): tf.Tensor {
  const { mean, variance } = tf.moments(x, axes, true);
  return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, eps)));
}

function scaled({ weight, bias }: NormParams, x: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(x, weight), bias);
}

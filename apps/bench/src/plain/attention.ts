// Shapes: B batch, N query tokens, M context tokens, D inner width, h heads, d = D / h.
import type { AttentionOptions, AttentionParams } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { linear } from './linear';

export function attention(params: AttentionParams, x: tf.Tensor3D, context: tf.Tensor3D, options: AttentionOptions): tf.Tensor3D {
  return tf.tidy(() => {
    const q = linear(params.q, x);
    const [k, v] = [linear(params.k, context), linear(params.v, context)];
    return linear(params.out, scaledDotProductAttention(q, k, v, options));
  });
}

export function scaledDotProductAttention(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  { heads, mask }: AttentionOptions,
): tf.Tensor3D {
  const [B, N, D] = q.shape;
  return tf.tidy(() => {
    const split = (tokens: tf.Tensor3D): tf.Tensor =>
      tf.transpose(tf.reshape(tokens, [B, tokens.shape[1], heads, D / heads]), [0, 2, 1, 3]); // [B, h, N, d]
    let scores = tf.mul(tf.matMul(split(q), split(k), false, true), Math.sqrt(heads / D)); // [B, h, N, M]
    if (mask) scores = tf.add(scores, tf.mul(tf.sub(tf.reshape(mask, [B, 1, 1, -1]), 1), 1e9));
    const mixed = tf.matMul(tf.softmax(scores), split(v)); // [B, h, N, d]
    return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [B, N, D]) as tf.Tensor3D;
  });
}

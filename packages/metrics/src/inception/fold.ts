import * as tf from '@tensorflow/tfjs-core';
import { type Conv2dParams, type LinearParams } from '@sgdiff/nn';
import type { ConvNormParams, InceptionParams } from './params';
import type { InceptionTree } from './plan';

/** The network as it runs: each batch norm is part of its convolution's weight and bias. */
export type InceptionNetwork = InceptionTree<Conv2dParams> & { readonly logits: LinearParams };

/** Of the published network (TensorFlow's slim); PyTorch's own default is 1e-5. */
const NORM_EPS = 1e-3;

/**
 * The network ready to run. A batch norm with fixed statistics is a factor and a shift per channel: folding them into
 * the convolution once saves two passes over every activation.
 *
 * @param params Borrowed; may be disposed afterwards, which halves the memory.
 * @returns Weights of its own, 96 MB. The caller disposes them (`disposeParams`).
 */
export function foldInception(params: InceptionParams): InceptionNetwork {
  return tf.tidy(() => {
    const { stem, blocks, logits } = params;
    return {
      stem: mapValues(stem, foldNorm),
      blocks: mapValues(blocks, (branches) => mapValues(branches, (layers) => layers.map(foldNorm))),
      logits: {
        weight: tf.clone(logits.weight),
        ...(logits.bias ? { bias: tf.clone(logits.bias) } : {}),
      },
    };
  });
}

/** A convolution with its batch norm as one convolution with bias. The caller disposes it. */
export function foldNorm({ conv, norm }: ConvNormParams): Conv2dParams {
  return tf.tidy(() => {
    const scale = tf.div(norm.weight, tf.sqrt(tf.add(norm.variance, NORM_EPS)));
    return {
      weight: tf.mul(conv.weight, scale),
      bias: tf.sub<tf.Tensor1D>(norm.bias, tf.mul(norm.mean, scale)),
    };
  });
}

function mapValues<T, U>(record: { readonly [key: string]: T }, f: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)]));
}

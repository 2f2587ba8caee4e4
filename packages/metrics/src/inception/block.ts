// Shapes: B batch, H and W input size, h and w output size, C input channels, K output channels.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, type Conv2dOptions, type Conv2dParams } from '@sgdiff/nn';
import type { BlockPlan, BranchPlan, Pooling } from './plan';

/** Weights of a block's branches by name. */
export type BlockWeights = { readonly [branch: string]: readonly Conv2dParams[] };

/**
 * One Inception block: its branches on the same input, joined along the channels.
 *
 * @param x `[B, H, W, C]`, float32.
 * @returns `[B, h, w, K]`, h = H or floor((H - 1) / 2). The caller disposes it.
 * @throws ShapeError if the channels of `x` do not fit the weights.
 * @see arXiv:1512.00567, figures 5 to 7 and 10.
 */
export function inceptionBlock(plan: BlockPlan, weights: BlockWeights, x: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => {
    const outputs = plan.branches.map((branch) => runBranch(branch, weights[branch.name] ?? [], x, plan.halves));
    return tf.concat(outputs.flat(), 3); // [B, h, w, K]
  });
}

/** A convolution with the folded norm, and the ReLU. */
export function convRelu(params: Conv2dParams, x: tf.Tensor4D, options: Conv2dOptions): tf.Tensor4D {
  return tf.tidy(() => tf.relu(conv2d(params, x, options)));
}

/** What the branch adds to the joined output: one tensor, or one for each of its ends. */
function runBranch(
  { pool, convs, ends = [] }: BranchPlan,
  layers: readonly Conv2dParams[],
  x: tf.Tensor4D,
  halves: boolean,
): tf.Tensor4D[] {
  return tf.tidy(() => {
    let h = pool ? poolSides(pool, x, halves) : x;
    for (let i = 0; i < convs.length; i++) {
      const last = i === convs.length - 1;
      h = convRelu(layers[i], h, halves && last ? { stride: 2, padding: 'valid' } : { padding: 'same' });
    }
    if (ends.length === 0) return [h];
    return ends.map((_, i) => convRelu(layers[convs.length + i], h, { padding: 'same' }));
  });
}

/** 3x3. An average at the edge is over the pixels that are there, as TensorFlow's `same` has it. */
function poolSides(pool: Pooling, x: tf.Tensor4D, halves: boolean): tf.Tensor4D {
  if (halves) return tf.maxPool(x, 3, 2, 'valid');
  return pool === 'average' ? tf.avgPool(x, 3, 1, 'same') : tf.maxPool(x, 3, 1, 'same');
}

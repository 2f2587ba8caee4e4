// Shapes: N rows, D width.
import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import type { NormParams } from './group-norm';
import { sumRows } from './linear';
import { wasmLayerNorm, wasmLayerNormGradient } from './wasm/layer-norm';
import { hasWasmKernels } from './wasm/multiply';
import { hasWebgpu } from './webgpu/backend';
import { webgpuLayerNorm } from './webgpu/layer-norm';
import { webgpuLayerNormGradient } from './webgpu/layer-norm-gradient';

export type LayerNormOptions = { readonly eps?: number };

/** Fresh weights: scale 1, shift 0. */
export function initLayerNorm(width: number): NormParams {
  return { weight: tf.ones([width]), bias: tf.zeros([width]) };
}

/**
 * Normalises the last axis to mean 0 and variance 1, then scales and shifts per channel.
 *
 * @param x `[..., D]`, float32.
 * @returns The shape of `x`. The caller disposes it.
 * @throws ShapeError if the last axis does not fit the weights.
 * @see arXiv:1607.06450
 */
export function layerNorm<R extends tf.Rank>(
  params: NormParams,
  x: tf.Tensor<R>,
  options: LayerNormOptions = {},
): tf.Tensor<R> {
  const { eps = 1e-5 } = options;
  const { weight, bias } = params;
  const D = weight.shape[0];
  if (x.rank < 1 || x.shape[x.rank - 1] !== D) {
    throw new ShapeError(`layerNorm: expected x of shape [..., ${D}], received [${x.shape.join(', ')}].`);
  }
  return withGradient<tf.Tensor<R>>(
    'layerNorm',
    { x, weight, bias },
    (save) => {
      if (hasWasmKernels() || hasWebgpu()) {
        const { y, mean, rstd } = (hasWebgpu() ? webgpuLayerNorm : wasmLayerNorm)(x, weight, bias, eps);
        save([x, weight, mean, rstd]);
        return y as tf.Tensor<R>;
      }
      const rows = tf.reshape(x, [-1, D]); // [N, D]
      const mean = tf.mean(rows, 1, true); // [N, 1]
      const centered = tf.sub(rows, mean);
      const rstd = tf.rsqrt(tf.add(tf.mean(tf.mul(centered, centered), 1, true), eps)); // [N, 1]
      save([x, weight, mean, rstd]);
      return tf.reshape(tf.add(tf.mul(tf.mul(centered, rstd), weight), bias), x.shape) as tf.Tensor<R>;
    },
    (dy, saved) => {
      const [x2, weight2, mean, rstd] = saved as [tf.Tensor, tf.Tensor1D, tf.Tensor, tf.Tensor];
      if (hasWasmKernels() || hasWebgpu()) {
        const gradient = hasWebgpu() ? webgpuLayerNormGradient : wasmLayerNormGradient;
        return gradient(dy, x2, weight2, mean as tf.Tensor1D, rstd as tf.Tensor1D);
      }
      const normal = tf.mul(tf.sub(tf.reshape(x2, [-1, D]), mean), rstd); // [N, D]
      const rows = tf.reshape(dy, [-1, D]) as tf.Tensor2D; // [N, D]
      const scaled = tf.mul(rows, weight2);
      const along = tf.mul(normal, tf.mean(tf.mul(scaled, normal), 1, true));
      const dx = tf.mul(tf.sub(tf.sub(scaled, tf.mean(scaled, 1, true)), along), rstd);
      return [tf.reshape(dx, dy.shape), sumRows(tf.mul(rows, normal)), sumRows(rows)];
    },
  );
}

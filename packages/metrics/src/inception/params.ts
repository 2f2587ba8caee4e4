// Shapes: kh and kw kernel sides, C input channels, K output channels.
import * as tf from '@tensorflow/tfjs-core';
import { initLinear, type Conv2dParams, type LinearParams, type Rng } from '@sgdiff/nn';
import { INCEPTION_CLASSES, INCEPTION_WIDTH, mapLayers, type InceptionTree, type LayerPlan } from './plan';

/** A batch norm with the statistics of training, each `[K]`. */
export type BatchNormParams = {
  readonly weight: tf.Tensor1D;
  readonly bias: tf.Tensor1D;
  readonly mean: tf.Tensor1D;
  readonly variance: tf.Tensor1D;
};

/** A convolution without bias (`weight` `[kh, kw, C, K]`) and the batch norm after it. */
export type ConvNormParams = { readonly conv: Conv2dParams; readonly norm: BatchNormParams };

/** Weights as the published file has them: 94 convolutions with batch norms, and the 1008 logits `[2048, 1008]`. */
export type InceptionParams = InceptionTree<ConvNormParams> & { readonly logits: LinearParams };

/** Fresh weights: only to try things out, since scores mean something with the published weights alone. */
export function initInception(rng: Rng): InceptionParams {
  const layers = mapLayers((layer) => initConvNorm(layer, rng.fork(layer.path)));
  return { ...layers, logits: initLinear(INCEPTION_WIDTH, INCEPTION_CLASSES, rng.fork('logits')) };
}

/** Uniform with the variance 2 / (kh kw C), which ReLUs keep (arXiv 1502.01852); the norm starts as the identity. */
function initConvNorm({ kernel: [kh, kw], inChannels, outChannels }: LayerPlan, rng: Rng): ConvNormParams {
  const bound = Math.sqrt(6 / (kh * kw * inChannels));
  const values = rng.fillUniform(new Float32Array(kh * kw * inChannels * outChannels));
  for (let i = 0; i < values.length; i++) values[i] = (2 * values[i] - 1) * bound;
  return {
    conv: { weight: tf.tensor4d(values, [kh, kw, inChannels, outChannels]) },
    norm: {
      weight: tf.ones([outChannels]),
      bias: tf.zeros([outChannels]),
      mean: tf.zeros([outChannels]),
      variance: tf.ones([outChannels]),
    },
  };
}

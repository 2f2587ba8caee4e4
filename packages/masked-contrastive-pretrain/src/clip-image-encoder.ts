// Shapes: B batch, S image side, P = (S / patch side)² patches, N = 1 + P tokens, W width, G width of the global vector.
import * as tf from '@tensorflow/tfjs-core';
import {
  attention,
  conv2d,
  expectShape,
  gelu,
  initConv2d,
  initLayerNorm,
  initLinear,
  layerNorm,
  linear,
  silu,
  type AttentionParams,
  type Conv2dParams,
  type EmbeddingParams,
  type LinearParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';
import { PretrainError } from './errors';
import type { ImageEncoding } from './small-image-encoder';

/** Sizes of CLIP's vision transformer. Plain JSON. */
export type ClipVisionConfig = {
  /** Side S of the square images in pixels, a multiple of `patchSize`. */
  readonly imageSize: number;
  readonly patchSize: number;
  /** Width W of a token, a multiple of `heads`. */
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  /** Hidden width of the feed-forward part. */
  readonly mlpWidth: number;
  /** Width G of the image embedding that is held against texts, and here against graphs. */
  readonly outputWidth: number;
  /** `quick-gelu`, x · sigmoid(1.702 x), in OpenAI's weights; some trained later have the exact `gelu`. */
  readonly activation: 'quick-gelu' | 'gelu';
};

/** Weights of one layer: attention of all tokens to all, then the feed-forward part, each behind its norm. */
export type ClipLayerParams = {
  readonly norm1: NormParams;
  readonly attention: AttentionParams; // q, k, v and out, all with bias
  readonly norm2: NormParams;
  readonly mlp: { readonly up: LinearParams; readonly down: LinearParams }; // W -> mlpWidth -> W
};

/** Weights of CLIP's vision transformer. */
export type ClipImageEncoderParams = {
  readonly patch: Conv2dParams; // weight [patch side, patch side, 3, W], no bias
  readonly classEmbedding: tf.Tensor1D; // [W], the first token
  readonly positionEmbedding: EmbeddingParams; // weight [N, W]
  readonly preNorm: NormParams;
  readonly layers: readonly ClipLayerParams[];
  readonly postNorm: NormParams;
  readonly projection: LinearParams; // weight [W, G], no bias
};

export type ClipImageEncoderOptions = {
  /**
   * Which local tokens. `mlp`, as published: what the last layer's feed-forward part adds to each token, the class token
   * first, `[B, N, W]`. `patches`: the patches' tokens after the last layer and the closing norm, `[B, P, W]`, without
   * the class token. CLIP learns that norm on the class token only; it is taken here because a few channels of the tokens
   * before it are a hundred times as large as the rest and would be most of any squared error.
   */
  readonly local: 'mlp' | 'patches';
};

/** OpenAI's ViT-B/32: 224 px, 7 x 7 patches, 87,849,216 weights, 8.8 GFLOP per image. */
export const clipVitB32Config: ClipVisionConfig = {
  imageSize: 224,
  patchSize: 32,
  width: 768,
  layers: 12,
  heads: 12,
  mlpWidth: 3072,
  outputWidth: 512,
  activation: 'quick-gelu',
};

/** Mean and standard deviation of red, green and blue in [0, 1] that CLIP's images are normalised with. */
const MEAN = [0.48145466, 0.4578275, 0.40821073] as const;
const STANDARD_DEVIATION = [0.26862954, 0.26130258, 0.27577711] as const;

/**
 * Fresh weights: a start for training, or a tree to restore imported ones into.
 *
 * @throws PretrainError if the sizes do not fit each other.
 */
export function initClipImageEncoder(config: ClipVisionConfig, rng: Rng): ClipImageEncoderParams {
  checkClipVisionConfig('initClipImageEncoder', config);
  const { width, patchSize, mlpWidth } = config;
  const noBias = { bias: false };
  return {
    patch: initConv2d(patchSize, 3, width, rng.fork('patch'), noBias),
    classEmbedding: tf.tensor1d(normal(width, rng.fork('classEmbedding'))),
    positionEmbedding: {
      weight: tf.tensor2d(normal(clipTokens(config) * width, rng.fork('positionEmbedding')), [
        clipTokens(config),
        width,
      ]),
    },
    preNorm: initLayerNorm(width),
    layers: Array.from({ length: config.layers }, (_, i) => initLayer(width, mlpWidth, rng.fork('layers', i))),
    postNorm: initLayerNorm(width),
    projection: initLinear(width, config.outputWidth, rng.fork('projection'), noBias),
  };
}

/**
 * CLIP's view of images: local tokens and the image embedding.
 *
 * @param images `[B, S, S, 3]` in [-1, 1]; normalised here with CLIP's mean and deviation (the published code fed it
 *   images normalised with ImageNet's). For images of another size: `resizeImages`.
 * @returns `local` `[B, N or P, W]`, `global` `[B, G]`, not normalised. The caller disposes them.
 * @throws ShapeError if the images do not have the configured side.
 * @see arXiv:2103.00020, section 2.4; arXiv:2010.11929, equations 1 to 4.
 */
export function clipImageEncoder(
  params: ClipImageEncoderParams,
  config: ClipVisionConfig,
  images: tf.Tensor4D,
  { local: kind }: ClipImageEncoderOptions,
): ImageEncoding {
  const { imageSize: S, patchSize, width: W, heads } = config;
  const B = images.shape[0];
  expectShape('clipImageEncoder', { images }, { images: [B, S, S, 3] });
  const P = clipTokens(config) - 1;
  return tf.tidy(() => {
    const cells = conv2d(params.patch, normalised(images), { stride: patchSize, padding: 'valid' });
    const patches = tf.reshape(cells, [B, P, W]);
    const first = tf.add(tf.zeros([B, 1, W]), params.classEmbedding); // [B, 1, W]
    const tokens = tf.add(tf.concat([first, patches], 1), params.positionEmbedding.weight); // [B, N, W]
    let x = layerNorm(params.preNorm, tokens as tf.Tensor3D);
    let added = x;
    for (const layer of params.layers) {
      const seen = layerNorm(layer.norm1, x);
      x = tf.add(x, attention(layer.attention, seen, seen, { heads }));
      const hidden = activate(linear(layer.mlp.up, layerNorm(layer.norm2, x)), config.activation); // [B, N, mlpWidth]
      added = linear(layer.mlp.down, hidden); // [B, N, W]
      x = tf.add(x, added);
    }
    const closed = layerNorm(params.postNorm, x);
    const global = linear(params.projection, tf.reshape(tf.slice(closed, [0, 0, 0], [B, 1, W]), [B, W]) as tf.Tensor2D);
    const local = kind === 'mlp' ? added : tf.slice(closed, [0, 1, 0], [B, P, W]);
    return { local, global };
  });
}

/** Number N of tokens: the class token and one per patch. */
export function clipTokens({ imageSize, patchSize }: ClipVisionConfig): number {
  return 1 + (imageSize / patchSize) ** 2;
}

/** @throws PretrainError if the sizes are no sizes or do not fit each other. */
export function checkClipVisionConfig(where: string, config: ClipVisionConfig): void {
  const problem = (at: string, expected: string, received: unknown): PretrainError =>
    new PretrainError(`${where}: expected config.${at} to be ${expected}, received ${JSON.stringify(received)}.`, {
      code: 'invalid_config',
    });
  for (const at of ['imageSize', 'patchSize', 'width', 'layers', 'heads', 'mlpWidth', 'outputWidth'] as const) {
    if (!Number.isSafeInteger(config[at]) || config[at] < 1) throw problem(at, 'a whole number from 1', config[at]);
  }
  const { imageSize, patchSize, width, layers, heads, activation } = config;
  if (layers > 1000) throw problem('layers', 'at most 1000', layers); // a damaged file may say anything
  if (imageSize % patchSize !== 0) throw problem('imageSize', `a multiple of config.patchSize ${patchSize}`, imageSize);
  if (width % heads !== 0) throw problem('width', `a multiple of config.heads ${heads}`, width);
  if (activation !== 'quick-gelu' && activation !== 'gelu') {
    throw problem('activation', '"quick-gelu" or "gelu"', activation);
  }
}

/** From [-1, 1] to what CLIP was trained on: (x' - mean) / deviation of x' = (x + 1) / 2. */
function normalised(images: tf.Tensor4D): tf.Tensor4D {
  const scale = STANDARD_DEVIATION.map((deviation) => 0.5 / deviation);
  const shift = MEAN.map((mean, i) => (0.5 - mean) / STANDARD_DEVIATION[i]!);
  return tf.add(tf.mul(images, tf.tensor1d(scale)), tf.tensor1d(shift));
}

function activate(x: tf.Tensor3D, activation: ClipVisionConfig['activation']): tf.Tensor3D {
  // x · sigmoid(a x) = silu(a x) / a, for which there is a fast kernel.
  return activation === 'gelu' ? gelu(x) : tf.div(silu(tf.mul<tf.Tensor3D>(x, 1.702)), 1.702);
}

function initLayer(width: number, mlpWidth: number, rng: Rng): ClipLayerParams {
  const projection = (name: string): LinearParams => initLinear(width, width, rng.fork('attention', name));
  return {
    norm1: initLayerNorm(width),
    attention: { q: projection('q'), k: projection('k'), v: projection('v'), out: projection('out') },
    norm2: initLayerNorm(width),
    mlp: {
      up: initLinear(width, mlpWidth, rng.fork('mlp', 'up')),
      down: initLinear(mlpWidth, width, rng.fork('mlp', 'down')),
    },
  };
}

/** Normal with standard deviation 0.02, as in CLIP. */
function normal(count: number, rng: Rng): Float32Array {
  return rng.fillNormal(new Float32Array(count)).map((x) => 0.02 * x);
}

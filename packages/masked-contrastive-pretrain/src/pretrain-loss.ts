// Shapes: B batch, K its masked part, S image side, P image tokens (one per patch, one more with a class token), W their width,
// T graph tokens, E width of the target, G global width.
import * as tf from '@tensorflow/tfjs-core';
import { expectShape, sumAll, valueAndGrads, type ParamTree, type Rng } from '@sgdiff/nn';
import { encodeSceneGraphs, initSgEncoder, type SgEncoderParams } from '@sgdiff/sg-encoder';
import type { PackedGraphs } from '@sgdiff/sg-schema';
import type { PretrainConfig } from './config';
import { contrastiveLoss, INITIAL_LOGIT_SCALE } from './contrastive';
import { PretrainError } from './errors';
import { withoutGradient } from './frozen-image-encoder';
import { contradictGraphs } from './hard-negatives';
import { objectMasks, type ImageBoxes } from './object-masks';
import { patchify } from './patches';
import { initReconstruction, reconstruct, type ReconstructionParams } from './reconstruction';
import {
  initSmallImageEncoder,
  smallImageEncoder,
  type ImageEncoder,
  type SmallImageEncoderParams,
} from './small-image-encoder';

/** Weights of pre-training. Only `encoder` is needed afterwards. */
export type PretrainParams<Image extends ParamTree = SmallImageEncoderParams> = {
  readonly encoder: SgEncoderParams;
  /** Weights of the image encoder; `{}` where a frozen one is brought along. */
  readonly image: Image;
  readonly reconstruction: ReconstructionParams;
  readonly logitScale: tf.Tensor; // scalar
};

/** Images with the graphs they comply with. */
export type PretrainBatch = {
  /** `[B, S, S, 3]`, float32 in [-1, 1]. */
  readonly images: tf.Tensor4D;
  /** B graphs, row i belonging to image i. */
  readonly packed: PackedGraphs;
  /** B lists of boxes, one per object without `__image__` (a scene graph's `boxes`, or those of its image). */
  readonly boxes: readonly ImageBoxes[];
};

/** What only some need. */
export type PretrainLossOptions = {
  /**
   * Image encoder in the place of the small one. If it is to be trained, its weights are `params.image`; if not, it is best
   * a `frozenImageEncoder`.
   */
  readonly imageEncoder?: ImageEncoder;
  /** From `oppositeIndices(vocabulary)`: lets hard negatives turn predicates round as well as rename objects. */
  readonly opposites?: Int32Array;
};

/** Scalars; the caller disposes them. */
export type PretrainLoss = {
  /** `contrastive + maskedWeight * masked`. */
  readonly loss: tf.Scalar;
  readonly contrastive: tf.Scalar;
  /** Mean squared error over the hidden places; 0 where the draw hid nothing. */
  readonly masked: tf.Scalar;
};

/** Fresh weights for `config.image`, the small image encoder. */
export function initPretrain(config: PretrainConfig, rng: Rng): PretrainParams {
  if (config.image === null) {
    throw new PretrainError(
      'initPretrain: config.image is null, so there is no image encoder to make. ' +
        'Use initPretrainWith(config, weights, rng) for an image encoder of your own.',
      { code: 'invalid_config' },
    );
  }
  return initPretrainWith(config, initSmallImageEncoder(config.image, rng.fork('image')), rng);
}

/**
 * Fresh weights around an image encoder of the caller's own.
 *
 * @param image Its weights, handed over; `{}` if it is frozen and keeps them to itself.
 */
export function initPretrainWith<Image extends ParamTree>(
  config: PretrainConfig,
  image: Image,
  rng: Rng,
): PretrainParams<Image> {
  checkConfig(config);
  const { tokens } = config;
  const sizes = {
    tokens: tokenCount(config),
    tokenWidth: tokens.width,
    contextWidth: 3 * config.encoder.width,
    targetWidth: config.target === 'pixels' ? patchPixels(config) * 3 : tokens.width,
  };
  return {
    encoder: initSgEncoder(config.encoder, rng.fork('encoder')),
    image,
    reconstruction: initReconstruction(config.reconstruction, sizes, rng.fork('reconstruction')),
    logitScale: tf.scalar(INITIAL_LOGIT_SCALE),
  };
}

/**
 * Loss of masked contrastive pre-training: whole images against graphs by their global vectors, and hidden objects
 * rebuilt from what is left of the image and the graph's local tokens.
 *
 * Departures from the published code, which could not run and trained against a random block: `__image__` is never
 * hidden, masks are unions in {0, 1}, the reconstruction block is trained, the error counts hidden places only, padding
 * is masked in the cross-attention.
 *
 * @param rng Decides which objects are hidden: fork it by step.
 * @throws PretrainError if the lists of the batch do not have one entry per image; ShapeError for images of another size or an
 *   image encoder of other widths than the config's.
 * @see arXiv:2211.11138, section 3.1, equations 3 to 5.
 */
export function pretrainLoss<Image extends ParamTree>(
  params: PretrainParams<Image>,
  config: PretrainConfig,
  batch: PretrainBatch,
  rng: Rng,
  options: PretrainLossOptions = {},
): PretrainLoss {
  const { images, packed, boxes } = batch;
  const { imageSize: S, maskedWeight } = config;
  checkBatch(batch);
  expectShape('pretrainLoss', { images }, { images: [packed.batch, S, S, 3] });
  const encodeImages = options.imageEncoder ?? ownEncoder(params.image, config);
  return tf.tidy(() => {
    const graphs = encodeSceneGraphs(params.encoder, config.encoder, packed);
    const whole = encodeImages(images);
    expectShape(
      'pretrainLoss',
      { 'image global vectors': whole.global },
      { 'image global vectors': [packed.batch, config.encoder.globalWidth] },
    );
    const hard = config.hardNegatives
      ? encodeSceneGraphs(
          params.encoder,
          config.encoder,
          contradictGraphs(packed, rng.fork('contradictions'), {
            objectCount: config.encoder.objectCount,
            ...(options.opposites && { opposites: options.opposites }),
          }),
        ).global
      : undefined;
    const contrastive = contrastiveLoss(graphs.global, whole.global, params.logitScale, hard);

    const K = Math.max(1, Math.round(config.maskedShare * packed.batch));
    const pixelMask = objectMasks(boxes.slice(0, K), config.maskProbability, rng.fork('mask'), S, S);
    const masked = maskedLoss(params, config, encodeImages, {
      images: tf.slice(images, [0, 0, 0, 0], [K, S, S, 3]),
      wholeLocal: whole.local,
      pixelMask,
      local: tf.slice(graphs.local, [0, 0, 0], [K, graphs.local.shape[1], graphs.local.shape[2]]),
      mask: tf.slice(graphs.mask, [0, 0], [K, graphs.mask.shape[1]]),
    });
    return { loss: tf.add(contrastive, tf.mul(masked, maskedWeight)) as tf.Scalar, contrastive, masked };
  });
}

/**
 * `pretrainLoss` with the gradient of `loss` to every weight of `params` (variables), by path.
 *
 * @returns The three scalars and `grads`; the caller disposes all of them.
 */
export function pretrainGradients<Image extends ParamTree>(
  params: PretrainParams<Image>,
  config: PretrainConfig,
  batch: PretrainBatch,
  rng: Rng,
  options: PretrainLossOptions = {},
): PretrainLoss & { readonly grads: Record<string, tf.Tensor> } {
  let parts: PretrainLoss | undefined;
  const { value, grads } = valueAndGrads(() => {
    parts = pretrainLoss(params, config, batch, rng, options);
    tf.keep(parts.contrastive);
    tf.keep(parts.masked);
    return parts.loss;
  }, params);
  return { loss: value, contrastive: parts!.contrastive, masked: parts!.masked, grads };
}

/** Weight decay as published: matrices and embeddings only, no vectors, no biases, not the logit scale. */
export function pretrainDecayFilter(_path: string, tensor: tf.Tensor): boolean {
  return tensor.rank >= 2;
}

function maskedLoss<Image extends ParamTree>(
  params: PretrainParams<Image>,
  config: PretrainConfig,
  encodeImages: ImageEncoder,
  part: {
    readonly images: tf.Tensor4D; // [K, S, S, 3]
    readonly wholeLocal: tf.Tensor3D; // [B, P, W], tokens of all images of the batch, with nothing hidden
    readonly pixelMask: Float32Array; // [K, S, S]
    readonly local: tf.Tensor3D; // [K, T, 3D]
    readonly mask: tf.Tensor2D; // [K, T]
  },
): tf.Scalar {
  const { imageSize: S, tokens, target } = config;
  const { rows, columns, width: W } = tokens;
  const [K, P, pixels] = [part.images.shape[0], tokenCount(config), patchPixels(config)];
  const hiddenPixels = tf.tensor4d(part.pixelMask, [K, S, S, 1]);
  const hiddenInPatch = patchify(hiddenPixels, rows, columns); // [K, rows columns, pixels]
  const hiddenPatches = tf.max(hiddenInPatch, 2) as tf.Tensor2D; // [K, rows columns]
  // The token of the whole image has lost something wherever any patch has.
  const hidden = tokens.classToken
    ? tf.concat([tf.max<tf.Tensor2D>(hiddenPatches, 1, true), hiddenPatches], 1)
    : hiddenPatches; // [K, P]
  const visible = tf.mul(part.images, tf.sub(1, hiddenPixels)) as tf.Tensor4D; // hidden pixels become 0, mid-grey
  const seen = encodeImages(visible).local;
  expectShape('pretrainLoss', { 'image local tokens': seen }, { 'image local tokens': [K, P, W] });
  const guess = reconstruct(params.reconstruction, config.reconstruction, seen, hidden, part.local, part.mask);
  if (target === 'pixels') {
    const truth = tf.reshape(patchify(part.images, rows, columns), [K, P, pixels, 3]);
    return weightedSquaredError(tf.reshape(guess, [K, P, pixels, 3]), truth, tf.expandDims(hiddenInPatch, -1));
  }
  const truth = withoutGradient(() => tf.slice(part.wholeLocal, [0, 0, 0], [K, P, W]));
  return weightedSquaredError(guess, truth, tf.expandDims(hidden, -1));
}

/** Mean of the squared error where `weights` (last axis 1) is 1; 0 where it is 1 nowhere. */
function weightedSquaredError(guess: tf.Tensor, truth: tf.Tensor, weights: tf.Tensor): tf.Scalar {
  const channels = guess.shape[guess.rank - 1]!;
  const error = sumAll(tf.mul(tf.square(tf.sub(guess, truth)), weights));
  return tf.div(error, tf.maximum(tf.mul(sumAll(weights), channels), 1)) as tf.Scalar;
}

function ownEncoder(image: ParamTree, config: PretrainConfig): ImageEncoder {
  const imageConfig = config.image;
  if (imageConfig === null) {
    throw new PretrainError(
      'pretrainLoss: config.image is null, so options.imageEncoder is needed. Pass the image encoder to train against.',
      { code: 'invalid_config' },
    );
  }
  return (images) => smallImageEncoder(image as SmallImageEncoderParams, imageConfig, images);
}

function patchPixels({ imageSize, tokens }: PretrainConfig): number {
  return (imageSize / tokens.rows) * (imageSize / tokens.columns);
}

/** How many tokens P the image encoder has. */
function tokenCount({ tokens }: PretrainConfig): number {
  return tokens.rows * tokens.columns + (tokens.classToken ? 1 : 0);
}

function checkConfig(config: PretrainConfig): void {
  const { imageSize, tokens, target, maskedShare } = config;
  if (!Number.isInteger(imageSize / tokens.rows) || !Number.isInteger(imageSize / tokens.columns)) {
    throw new PretrainError(
      `initPretrain: expected a token grid that divides ${imageSize} px evenly, received ${tokens.rows} x ${tokens.columns}.`,
      { code: 'invalid_config' },
    );
  }
  if (tokens.classToken && target === 'pixels') {
    throw new PretrainError(
      `initPretrain: expected config.target "features" with a class token, which has no pixels, received "pixels". ` +
        'Use local tokens without it, or the target "features".',
      { code: 'invalid_config' },
    );
  }
  if (config.image !== null && config.image.globalWidth !== config.encoder.globalWidth) {
    throw new PretrainError(
      `initPretrain: expected graph and image encoder to share one globalWidth, received ${config.encoder.globalWidth} ` +
        `and ${config.image.globalWidth}.`,
      { code: 'invalid_config' },
    );
  }
  if (!(maskedShare > 0 && maskedShare <= 1)) {
    throw new PretrainError(
      `initPretrain: expected config.maskedShare in (0, 1], received ${String(maskedShare)}. ` +
        'To switch the masked loss off, set maskedWeight 0.',
      { code: 'invalid_config' },
    );
  }
}

function checkBatch({ images, packed, boxes }: PretrainBatch): void {
  if (boxes.length !== packed.batch || images.shape[0] !== packed.batch) {
    throw new PretrainError(
      `pretrainLoss: expected as many images and lists of boxes as graphs, ${packed.batch}, received ` +
        `${images.shape[0]} images and ${boxes.length} lists.`,
      { code: 'invalid_batch' },
    );
  }
}

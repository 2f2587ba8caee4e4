// Shapes: B batch, H and W image sides, h and w latent sides, D latent channels.
import * as tf from '@tensorflow/tfjs-core';
import { meanAll } from '@sgdiff/nn';
import { decodeQuantized, encode, type AutoencoderParams } from './autoencoder';
import type { AutoencoderConfig } from './config';
import { lookUpCodes, quantizationLoss, quantize } from './quantizer';

export type AutoencoderLossOptions = {
  /** Weight of the mean absolute error of pixels; 1. */
  readonly l1?: number;
  /** Weight of the mean squared error of pixels; 0. */
  readonly l2?: number;
  /** Weight of the mean absolute error of differences between neighbouring pixels, which rewards sharp edges; 0. */
  readonly edge?: number;
  /** Weight of both codebook terms together; 1. */
  readonly codebook?: number;
  /** Weight of the second codebook term against the first; 0.25. */
  readonly beta?: number;
  /**
   * false (default): `beta` weakens the commitment term, as in the paper. true: `beta` weakens the codebook term and
   * the commitment term has weight 1, as in the code the published model was trained with.
   */
  readonly legacy?: boolean;
};

export type AutoencoderLoss = {
  /** Sum of the weighted terms. */
  readonly loss: tf.Scalar;
  /** Weighted pixel and edge terms. */
  readonly reconstruction: tf.Scalar;
  /** Codebook and commitment term, before the weight `codebook`. */
  readonly codebook: tf.Scalar;
  /** Mean absolute error of the pixels, whatever its weight. */
  readonly l1: tf.Scalar;
  /** Codes in use, `[B, h, w·S]`, int32; S = codeGroups. */
  readonly indices: tf.Tensor3D;
  /** Latents before quantisation, `[B, h, w, D]`. */
  readonly latents: tf.Tensor4D;
  /** `[B, H, W, 3]`. */
  readonly images: tf.Tensor4D;
};

/**
 * Training loss of the autoencoder alone: pixel error, optional edge error, codebook terms.
 *
 * The published model adds a perceptual and an adversarial term: `firstStageGradients` in `./train`.
 *
 * @param images `[B, H, W, 3]` in [-1, 1].
 * @returns The loss, its terms and what was computed on the way. The caller disposes all of it.
 * @throws ShapeError if the images do not fit the config.
 * @see arXiv:1711.00937, equation 3; arXiv:2012.09841, equation 4.
 */
export function autoencoderLoss(
  params: AutoencoderParams,
  config: AutoencoderConfig,
  images: tf.Tensor4D,
  options: AutoencoderLossOptions = {},
): AutoencoderLoss {
  return tf.tidy(() => {
    const { latents, zQ, indices, codebook } = encodeToCodes(params, config, images, options);
    const decoded = decodeQuantized(params, config, zQ); // [B, H, W, 3]
    const { reconstruction, l1 } = reconstructionError(decoded, images, options);
    return {
      loss: tf.add(reconstruction, tf.mul(codebook, options.codebook ?? 1)) as tf.Scalar,
      reconstruction,
      codebook,
      l1,
      indices,
      latents,
      images: decoded,
    };
  });
}

/** The first half of a training step: latents, codes `[B, h, w, D]` to decode, and the codebook terms before their weight. */
export function encodeToCodes(
  params: AutoencoderParams,
  config: AutoencoderConfig,
  images: tf.Tensor4D,
  { beta = 0.25, legacy = false }: AutoencoderLossOptions,
): { latents: tf.Tensor4D; zQ: tf.Tensor4D; indices: tf.Tensor3D; codebook: tf.Scalar } {
  const latents = encode(params, config, images); // [B, h, w, D]
  const { zQ, indices } = quantize(params, latents);
  const codes = lookUpCodes(params, indices, config.embedDim); // [B, h, w, D]
  const strength = legacy ? { codebook: beta, commitment: 1 } : { codebook: 1, commitment: beta };
  return { latents, zQ, indices, codebook: quantizationLoss(latents, codes, strength) };
}

/** Weighted pixel and edge terms, and the mean absolute error whatever its weight. */
export function reconstructionError(
  decoded: tf.Tensor4D,
  images: tf.Tensor4D,
  { l1 = 1, l2 = 0, edge = 0 }: AutoencoderLossOptions,
): { reconstruction: tf.Scalar; l1: tf.Scalar } {
  const difference = tf.sub(decoded, images) as tf.Tensor4D; // [B, H, W, 3]
  const absolute = meanAll(tf.abs(difference));
  let reconstruction = tf.mul(absolute, l1) as tf.Scalar;
  if (l2 !== 0) reconstruction = tf.add(reconstruction, tf.mul(meanAll(tf.square(difference)), l2));
  if (edge !== 0) reconstruction = tf.add(reconstruction, tf.mul(edgeError(difference), edge));
  return { reconstruction, l1: absolute };
}

/** Mean absolute difference between neighbours, over columns and over rows, of the error image `[B, H, W, 3]`. */
function edgeError(difference: tf.Tensor4D): tf.Scalar {
  const [B, H, W, C] = difference.shape;
  const horizontal = tf.sub(
    tf.slice(difference, [0, 0, 1, 0], [B, H, W - 1, C]),
    tf.slice(difference, [0, 0, 0, 0], [B, H, W - 1, C]),
  );
  const vertical = tf.sub(
    tf.slice(difference, [0, 1, 0, 0], [B, H - 1, W, C]),
    tf.slice(difference, [0, 0, 0, 0], [B, H - 1, W, C]),
  );
  return tf.add(meanAll(tf.abs(horizontal)), meanAll(tf.abs(vertical))) as tf.Scalar;
}

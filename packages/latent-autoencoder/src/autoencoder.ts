// Shapes: B batch, H and W image sides, h and w latent sides (H and W over the downsampling factor), D latent channels.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, initConv2d, ShapeError, type Conv2dParams, type Rng } from '@sgdiff/nn';
import { checkConfig, codeWidth, downsamplingFactor, type AutoencoderConfig } from './config';
import { decoder, initDecoder, type DecoderParams } from './decoder';
import { encoder, initEncoder, type EncoderParams } from './encoder';
import { initQuantizer, lookUpCodes, quantize, type QuantizerParams } from './quantizer';

/** Weights of the autoencoder. `publishedName(path)` gives the name of each in the published state dict. */
export type AutoencoderParams = {
  readonly encoder: EncoderParams;
  readonly quantConv: Conv2dParams; // [1, 1, Z, D]
  readonly quantize: QuantizerParams; // embedding.weight [K, D / codeGroups]
  readonly postQuantConv: Conv2dParams; // [1, 1, D, Z]
  readonly decoder: DecoderParams;
};

/**
 * Fresh weights with PyTorch's default initialisation; the codebook is uniform in ±1/K.
 *
 * @throws AutoencoderConfigError if the config describes no model.
 */
export function initAutoencoder(config: AutoencoderConfig, rng: Rng): AutoencoderParams {
  checkConfig(config);
  return {
    encoder: initEncoder(config, rng.fork('encoder')),
    quantConv: initConv2d(1, config.zChannels, config.embedDim, rng.fork('quantConv')),
    quantize: initQuantizer(config.codebookSize, codeWidth(config), rng.fork('quantize')),
    postQuantConv: initConv2d(1, config.embedDim, config.zChannels, rng.fork('postQuantConv')),
    decoder: initDecoder(config, rng.fork('decoder')),
  };
}

/**
 * Latents of images, before quantisation: what diffusion is trained on.
 *
 * @param images `[B, H, W, 3]`, float32, in [-1, 1]; sides are multiples of the downsampling factor.
 * @returns `[B, h, w, D]`. The caller disposes it.
 * @throws ShapeError if the images do not fit the config.
 * @see arXiv:2112.10752, section 3.1 (the quantisation layer belongs to the decoder).
 */
export function encode(params: AutoencoderParams, config: AutoencoderConfig, images: tf.Tensor4D): tf.Tensor4D {
  const factor = downsamplingFactor(config);
  const [, H, W, channels] = images.shape;
  if (images.rank !== 4 || channels !== config.imageChannels || H % factor !== 0 || W % factor !== 0) {
    throw new ShapeError(
      `encode: expected images of shape [B, H, W, ${config.imageChannels}] with sides that are multiples of ${factor}, ` +
        `received [${images.shape.join(', ')}]. Resize or pad the images.`,
    );
  }
  return tf.tidy(() => conv2d(params.quantConv, encoder(params.encoder, config, images))); // [B, h, w, D]
}

/**
 * Images of latents. The latents are quantised first; skipping that changes the picture.
 *
 * @param z `[B, h, w, D]`, float32, such as encode or the sampler gave, in the codebook's scale.
 * @returns `[B, H, W, 3]`, about [-1, 1] but not clamped. The caller disposes it.
 * @throws ShapeError if `z` has other channels than the config.
 */
export function decode(params: AutoencoderParams, config: AutoencoderConfig, z: tf.Tensor4D): tf.Tensor4D {
  if (z.rank !== 4 || z.shape[3] !== config.embedDim) {
    throw new ShapeError(
      `decode: expected latents of shape [B, h, w, ${config.embedDim}], received [${z.shape.join(', ')}].`,
    );
  }
  return tf.tidy(() => decodeQuantized(params, config, quantize(params, z).zQ));
}

/**
 * Images of codebook indices.
 *
 * @param indices `[B, h, w·S]`, int32, as `quantize` gives them; S = codeGroups.
 * @returns `[B, H, W, 3]`. The caller disposes it.
 */
export function decodeIndices(params: AutoencoderParams, config: AutoencoderConfig, indices: tf.Tensor3D): tf.Tensor4D {
  return tf.tidy(() => decodeQuantized(params, config, lookUpCodes(params, indices, config.embedDim)));
}

/** Images of latents that already are codes: `[B, h, w, D]` to `[B, H, W, 3]`. The caller disposes the result. */
export function decodeQuantized(params: AutoencoderParams, config: AutoencoderConfig, zQ: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => decoder(params.decoder, config, conv2d(params.postQuantConv, zQ)));
}

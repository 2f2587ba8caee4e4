// Shapes: B batch, H and W picture size.
import * as tf from '@tensorflow/tfjs-core';
import { linear } from '@sgdiff/nn';
import { MetricsError } from '../metrics-error';
import type { InceptionNetwork } from './fold';
import { expectPictures, resizeForInception } from './resize';
import { inceptionTrunk } from './trunk';

export type InceptionFeatures = {
  /** `[B, 2048]`, not negative: for the Fréchet distance (FID) and kernel distance (KID). */
  readonly pool: tf.Tensor2D;
  /** `[B, 1008]`. */
  readonly logits: tf.Tensor2D;
  /** `[B, 1008]`: the logits without their bias, of whose softmax the published Inception Scores are made. */
  readonly logitsUnbiased: tf.Tensor2D;
};

export type InceptionOptions = {
  /**
   * What the pixels are: `signed` in [-1, 1], as our decoder gives them (the default), or `bytes` in 0 to 255.
   * Scores of saved pictures are those of bytes: round before you compare with them.
   */
  readonly range?: 'signed' | 'bytes';
};

/**
 * Features and logits of pictures by the Inception network of FID: the 2015 one, as pytorch-fid and torch-fidelity have
 * it, with pictures resized as TensorFlow 1 did.
 *
 * @param network From `foldInception`. Borrowed.
 * @param images `[B, H, W, 3]`, any size, float32 or int32, in the range that `options` says.
 * @returns Three tensors, float32. The caller disposes them.
 * @throws ShapeError if `images` is of another shape; MetricsError if they are integers that should be in [-1, 1].
 * @see arXiv:1512.00567 (the network), arXiv:1706.08500 (its use).
 */
export function inceptionFeatures(
  network: InceptionNetwork,
  images: tf.Tensor4D,
  options: InceptionOptions = {},
): InceptionFeatures {
  expectPictures('inceptionFeatures', images);
  if (images.dtype !== 'float32' && options.range !== 'bytes') {
    throw new MetricsError(
      `inceptionFeatures: expected float32 images in [-1, 1], received ${images.dtype}. Pass { range: 'bytes' } for bytes.`,
    );
  }
  return tf.tidy(() => {
    const x = inceptionInput(images, options); // [B, 299, 299, 3]
    const activations = inceptionTrunk(network, x); // [B, 8, 8, 2048]
    const pool = tf.mean<tf.Tensor2D>(activations, [1, 2]); // [B, 2048]
    const { weight, bias } = network.logits;
    const logitsUnbiased = linear({ weight }, pool); // [B, 1008]
    const logits = bias ? tf.add<tf.Tensor2D>(logitsUnbiased, bias) : tf.clone(logitsUnbiased);
    return { pool, logits, logitsUnbiased };
  });
}

/** Pictures as the network wants them: resized as bytes, then (byte - 128) / 128. `[B, 299, 299, 3]` */
export function inceptionInput(images: tf.Tensor4D, { range = 'signed' }: InceptionOptions): tf.Tensor4D {
  return tf.tidy(() => {
    const resized = resizeForInception(images);
    // A signed value v is the byte (v + 1) * 127.5.
    return range === 'bytes' ? tf.div(tf.sub(resized, 128), 128) : tf.sub(tf.mul(resized, 127.5 / 128), 0.5 / 128);
  });
}

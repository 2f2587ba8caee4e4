// Shapes: B batch, H, W image, h, w latent, C latent channels.
import { autoencoderLoss, decode, encode, initAutoencoder, restartDeadCodes, type AutoencoderParams } from '@sgdiff/latent-autoencoder';
import { createRng } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { createBatchOrder, readPictures } from '../data/batches';
import type { PictureStore } from '../data/picture-store';
import { encodePicture, tile, toPictures } from '../png';
import type { Stage } from '../training/loop';

const RESTART_EVERY = 200;
const SAMPLES = 8;

/** Trains the VQ autoencoder on the pictures alone. */
export function autoencoderStage(
  config: PictureBookConfig['autoencoder'],
  train: PictureStore,
  validation: PictureStore,
): Stage<AutoencoderParams> {
  const { model, batchSize, seed } = config;
  const order = createBatchOrder(train.count, batchSize, seed);
  const shape: [number, number, number, number] = [batchSize, train.size, train.size, 3];
  let images: Float32Array = new Float32Array(0);
  return {
    name: 'autoencoder',
    init: () => initAutoencoder(model, createRng(seed, 'autoencoder')),
    config,
    optimiser: config.optimiser,
    batchSize,
    steps: config.steps,
    prepare(step) {
      images = readPictures(train, order(step));
    },
    loss(params) {
      const { loss, reconstruction, codebook } = autoencoderLoss(params, model, tf.tensor4d(images, shape));
      return { loss, terms: { reconstruction, codebook } };
    },
    afterStep(params, step) {
      if (step % RESTART_EVERY !== 0) return;
      // Codes that nothing uses are moved to latents of this batch; at step 0 that initialises the whole codebook.
      restartDeadCodes(params, model, tf.tensor4d(images, shape), createRng(seed, 'restart', step));
    },
    sampleEverySteps: 500,
    async sample(params) {
      const { size } = validation;
      const pixels = readPictures(validation, Array.from({ length: SAMPLES }, (_, i) => i));
      const rebuilt = tf.tidy(() => decode(params, model, encode(params, model, tf.tensor4d(pixels, [SAMPLES, size, size, 3]))));
      try {
        const out = new Float32Array(await rebuilt.data());
        return encodePicture(tile([...toPictures(pixels, SAMPLES, size, size), ...toPictures(out, SAMPLES, size, size)], SAMPLES, { zoom: 2 }));
      } finally {
        rebuilt.dispose();
      }
    },
  };
}

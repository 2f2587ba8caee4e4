// Shapes: B batch, H, W image, h, w latent, C latent channels.
import {
  autoencoderLoss,
  codebookFromLatents,
  codeWidth,
  countCodes,
  decode,
  encode,
  initAutoencoder,
  restartDeadCodes,
  type AutoencoderParams,
} from '@sgdiff/latent-autoencoder';
import { firstStageGradients, lpipsTensors, type LpipsConfig, type LpipsParams } from '@sgdiff/latent-autoencoder/train';
import { createRng, disposeParams } from '@sgdiff/nn';
import { loadPart } from '@sgdiff/pipeline';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { createBatchOrder, readPictures } from '../data/batches';
import type { PictureStore } from '../data/picture-store';
import { modelSource } from '../model';
import { encodePicture, tile, toPictures } from '../png';
import { partOf } from '../training/data-parallel';
import type { Stage } from '../training/loop';
import { createDiscriminator, type Discriminator } from './discriminator';
import { partIdentity, type PartIdentity } from './part-identity';

/** Codes that no latent chose for so many steps are moved to where latents are … */
const RESTART_EVERY = 100;
/** … in this share of the run; afterwards the codebook may settle. */
const RESTART_SHARE = 0.6;
const SAMPLES = 8;

/** A perceptual distance to train with. */
export type Perceptual = {
  readonly params: LpipsParams;
  readonly identity: PartIdentity;
  dispose(): void;
};

/**
 * The perceptual distance that the config names, if it names one. The caller disposes it.
 *
 * @throws ModelError if the folder is not sound.
 */
export async function openPerceptual({ perceptual }: PictureBookConfig['autoencoder']): Promise<Perceptual | undefined> {
  if (!perceptual) return undefined;
  const { manifest, params } = await loadPart<LpipsParams, LpipsConfig>(modelSource(perceptual.model), 'perceptual', lpipsTensors);
  return { params, identity: partIdentity(manifest), dispose: () => disposeParams(params) };
}

/**
 * Trains the VQ autoencoder on the pictures alone.
 *
 * @param distance The one of `config.perceptual`, if it names one. Borrowed.
 */
export function autoencoderStage(
  config: PictureBookConfig['autoencoder'],
  train: PictureStore,
  validation: PictureStore,
  distance?: Perceptual,
): Stage<AutoencoderParams> {
  const { model, batchSize, seed, adversarial } = config;
  const perceptual = distance && config.perceptual && { params: distance.params, weight: config.perceptual.weight };
  const order = createBatchOrder(train.count, batchSize, seed);
  const { size } = train;
  let images: Float32Array = new Float32Array(0); // [B, S, S, 3], the own part of the batch
  const batch = (): tf.Tensor4D => tf.tensor4d(images, [images.length / (size * size * 3), size, size, 3]);
  let counts = new Float32Array(model.codebookSize);
  let countedSteps = 0;
  let chosen: tf.Tensor | undefined;
  let discriminator: Discriminator | undefined;
  const choose = (indices?: tf.Tensor): void => {
    chosen?.dispose();
    chosen = indices;
  };
  return {
    name: 'autoencoder',
    init: () => initAutoencoder(model, createRng(seed, 'autoencoder')),
    config: distance ? frozenConfig(config, distance) : config,
    ...(adversarial && { changeable: ['adversarial.learningRate', 'adversarial.beta1', 'adversarial.beta2'] }),
    optimiser: config.optimiser,
    batchSize,
    steps: config.steps,
    // Its discriminator normalises by the whole batch, and the adaptive weight is one for all of it.
    splitsBatch: !adversarial,
    prepare(step, part) {
      images = readPictures(train, partOf(order(step), part));
    },
    loss(params) {
      const { loss, reconstruction, codebook, l1, indices } = autoencoderLoss(params, model, batch(), config.loss);
      choose(tf.keep(indices));
      return { loss, terms: { reconstruction, codebook, l1 } };
    },
    ...((perceptual || adversarial) && {
      gradients(params, step) {
        const images = batch();
        try {
          const term = discriminator?.term(step);
          const { indices, discriminator: judged, terms, ...result } = firstStageGradients(params, model, images, {
            ...config.loss,
            ...(perceptual && { perceptual }),
            ...(term && { adversarial: term }),
          });
          choose(indices);
          if (judged) discriminator?.remember(judged);
          return { ...result, terms: { ...terms, ...(judged && { discriminator: tf.clone(judged.loss) }) } };
        } finally {
          images.dispose();
        }
      },
    }),
    ...(adversarial && {
      companion: () => (discriminator = createDiscriminator(config)),
    }),
    async afterStep(params, step) {
      await discriminator?.learn(step);
      const used = countCodes((await chosen?.data()) ?? [], model.codebookSize);
      choose();
      used.forEach((count, code) => (counts[code] += count));
      countedSteps += 1;
      if (step % RESTART_EVERY !== 0 || step > config.steps * RESTART_SHARE) return;
      // A run that was continued since the last restart has not seen enough to call a code dead.
      if (step > 0 && countedSteps < RESTART_EVERY) return;
      const encoded = tf.tidy(() => encode(params, model, batch()));
      const latents = (await encoded.data()) as Float32Array;
      encoded.dispose();
      const book = params.quantize.embedding.weight as tf.Variable<tf.Rank.R2>;
      const rng = createRng(seed, 'codebook', step);
      const next =
        step === 0
          ? codebookFromLatents(latents, model.codebookSize, codeWidth(model), rng)
          : restartDeadCodes((await book.data()) as Float32Array, counts, latents, rng).codebook;
      tf.tidy(() => book.assign(tf.tensor2d(next, book.shape)));
      counts = new Float32Array(model.codebookSize);
      countedSteps = 0;
    },
    sampleEverySteps: 500,
    async sample(params) {
      const count = Math.min(SAMPLES, validation.count);
      const pixels = readPictures(validation, Array.from({ length: count }, (_, i) => i));
      const rebuilt = tf.tidy(() => decode(params, model, encode(params, model, tf.tensor4d(pixels, [count, size, size, 3]))));
      try {
        const out = new Float32Array(await rebuilt.data());
        return encodePicture(tile([...toPictures(pixels, count, size, size), ...toPictures(out, count, size, size)], count, { zoom: 2 }));
      } finally {
        rebuilt.dispose();
      }
    },
  };
}

/** Where the folder lies may change between sessions; what is in it may not. */
function frozenConfig({ perceptual, ...config }: PictureBookConfig['autoencoder'], { identity }: Perceptual): unknown {
  return { ...config, perceptual: { weight: perceptual?.weight }, frozen: { perceptual: identity } };
}

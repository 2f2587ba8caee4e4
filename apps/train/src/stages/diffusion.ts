// Shapes: B batch, h, w, C latent sides and channels.
import { decode, type AutoencoderConfig, type AutoencoderParams } from '@sgdiff/latent-autoencoder';
import { diffusionLoss, initUnet, type UnetParams } from '@sgdiff/diffusion-unet';
import { createRng } from '@sgdiff/nn';
import { createSchedule } from '@sgdiff/sampler';
import { encodeSceneGraphs, type SgEncoderConfig, type SgEncoderParams } from '@sgdiff/sg-encoder';
import { packGraphs, type SceneGraph, type Vocabulary } from '@sgdiff/sg-schema';
import { drawLatents } from '@sgdiff/pipeline';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { createBatchOrder } from '../data/batches';
import type { PictureStore } from '../data/picture-store';
import { encodePicture, tile, toPictures } from '../png';
import { partOf } from '../training/data-parallel';
import type { Stage } from '../training/loop';
import type { LatentCache } from './latents';

/** What the U-Net stands on: the two frozen parts and the latents of the training pictures. */
export type DiffusionGround = {
  readonly vocabulary: Vocabulary;
  readonly encoder: { readonly params: SgEncoderParams; readonly config: SgEncoderConfig };
  readonly autoencoder: { readonly params: AutoencoderParams; readonly config: AutoencoderConfig };
  readonly latents: LatentCache;
  /** Latents are multiplied by it before diffusion. */
  readonly latentScale: number;
  /** Hashes of the weights of both parts: with others, what the U-Net has learned is worth nothing. */
  readonly frozen: { readonly autoencoder: string; readonly pretrain: string };
  /** Graphs drawn into the report as training goes on. */
  readonly sampleGraphs: readonly SceneGraph[];
};

const SAMPLE_STEPS = 20;

/** Trains the U-Net on cached latents, conditioned by the frozen graph encoder. */
export function diffusionStage(config: PictureBookConfig['diffusion'], train: PictureStore, ground: DiffusionGround): Stage<UnetParams> {
  const { batchSize, seed, model } = config;
  const { encoder, autoencoder, vocabulary, latents, latentScale } = ground;
  const schedule = createSchedule(config.schedule);
  const order = createBatchOrder(train.count, batchSize, seed);
  const [h, w, C] = latents.shape;
  const each = h * w * C;
  return {
    name: 'diffusion',
    init: () => initUnet(model, createRng(seed, 'unet')),
    config: { ...config, frozen: ground.frozen },
    optimiser: config.optimiser,
    batchSize,
    steps: config.steps,
    splitsBatch: true,
    loss(params, step, part) {
      const indices = partOf(order(step), part);
      const B = indices.length;
      const rng = createRng(seed, 'diffusion', step, part.index);
      const x0 = new Float32Array(B * each);
      indices.forEach((index, i) => {
        for (let k = 0; k < each; k++) x0[i * each + k] = latents.data[index * each + k] * latentScale;
      });
      const packed = packGraphs(Array.from(indices, (index) => train.samples[index].graph), vocabulary, {
        maxTriples: encoder.config.maxTriples,
      });
      const { loss } = diffusionLoss(
        params,
        model,
        schedule,
        {
          latents: tf.tensor4d(x0, [B, h, w, C]),
          condition: encodeSceneGraphs(encoder.params, encoder.config, packed),
          noise: tf.tensor4d(rng.fork('noise').fillNormal(new Float32Array(B * each)), [B, h, w, C]),
          t: Int32Array.from({ length: B }, () => rng.int(schedule.timesteps)),
          keep: tf.tensor1d(Float32Array.from({ length: B }, () => (rng.uniform() < config.dropCondition ? 0 : 1))),
        },
        { prediction: config.prediction, ...(config.minSnrGamma === null ? {} : { minSnrGamma: config.minSnrGamma }) },
      );
      return { loss, terms: {} };
    },
    sampleEverySteps: 1000,
    async sample(params) {
      const graphs = ground.sampleGraphs;
      const z = await drawLatents(
        {
          vocabulary,
          encoder,
          unet: { params, config: model },
          schedule,
          prediction: config.prediction,
          latentShape: [h, w, C],
        },
        graphs,
        { seeds: graphs.map((_, i) => i), sampler: 'dpm-solver++2m', steps: SAMPLE_STEPS, guidanceScale: config.guidanceScale },
      );
      const images = tf.tidy(() => decode(autoencoder.params, autoencoder.config, tf.div(z, latentScale)));
      try {
        const [B, H, W] = images.shape;
        return encodePicture(tile(toPictures(new Float32Array(await images.data()), B, H, W), 8, { zoom: 2 }));
      } finally {
        tf.dispose([z, images]);
      }
    },
  };
}

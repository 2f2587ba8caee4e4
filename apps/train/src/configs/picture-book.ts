// The small model that ships, from nothing, on 64 px scenes of 35 words and 14 predicates.
//
//   sgdiff prepare picture-book          draws the data
//   sgdiff train autoencoder             then pretrain, detector and diffusion, in this order
//   sgdiff export                        writes the model folder
//   sgdiff evaluate --model …            measures it
//
// Times and scores are in the model card of @sgdiff/model-picture-book.
import { pictureBookUnetConfig } from '@sgdiff/diffusion-unet';
import { pictureBookAutoencoderConfig } from '@sgdiff/latent-autoencoder';
import { pictureBookPretrainConfig } from '@sgdiff/masked-contrastive-pretrain';
import { pictureBookVocabulary } from '@sgdiff/datasets';
import type { PictureBookConfig } from './config';

const { objects, predicates } = pictureBookVocabulary();
const pretrain = pictureBookPretrainConfig({ objectCount: objects.length, predicateCount: predicates.length });

export const pictureBook: PictureBookConfig = {
  data: { seed: 1, size: 64, train: 40_000, validation: 1000, test: 1000, detector: 15_000 },
  autoencoder: {
    model: pictureBookAutoencoderConfig,
    loss: { l1: 1, l2: 1, edge: 0.5, codebook: 1 },
    seed: 1,
    batchSize: 16,
    steps: 3000,
    optimiser: { learningRate: 2e-3, warmupSteps: 100, decayShare: 1, finalShare: 0.05, weightDecay: 0, clipNorm: 1, emaDecay: 0.995 },
  },
  pretrain: {
    model: pretrain,
    seed: 2,
    batchSize: 64,
    steps: 900,
    optimiser: { learningRate: 1e-3, warmupSteps: 50, decayShare: 1, finalShare: 0.02, weightDecay: 0.1, clipNorm: 1, emaDecay: 0.99 },
  },
  detector: {
    seed: 3,
    batchSize: 32,
    steps: 2000,
    optimiser: { learningRate: 2.5e-3, warmupSteps: 100, decayShare: 0.9, finalShare: 0.02, weightDecay: 0.01, clipNorm: 5, emaDecay: 0.99 },
  },
  diffusion: {
    model: {
      ...pictureBookUnetConfig,
      localWidth: 3 * pretrain.encoder.width,
      globalWidth: pretrain.encoder.globalWidth,
    },
    seed: 4,
    batchSize: 64,
    steps: 6600,
    optimiser: { learningRate: 8e-4, warmupSteps: 200, decayShare: 0.3, finalShare: 0.02, weightDecay: 0.01, clipNorm: 1, emaDecay: 0.999 },
    prediction: 'v',
    minSnrGamma: null,
    dropCondition: 0.1,
    schedule: { kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 },
    guidanceScale: 3,
    samplingSteps: 20,
  },
};

import type { PictureBookConfig } from '../configs/config';
import { pictureBook } from '../configs/picture-book';

/** Entries of the config that let a whole run of training pass in seconds. */
export function tinyRunConfig(): PictureBookConfig {
  const optimiser = { ...pictureBook.diffusion.optimiser, learningRate: 1e-3, warmupSteps: 1, emaDecay: 0.9 };
  const { encoder, ...pretrain } = pictureBook.pretrain.model;
  return {
    data: { seed: 1, size: 64, train: 8, validation: 4, test: 1, detector: 1 },
    autoencoder: {
      ...pictureBook.autoencoder,
      batchSize: 4,
      steps: 3,
      optimiser,
      model: {
        imageChannels: 3,
        stem: 4,
        baseChannels: 8,
        channelMults: [1],
        numResBlocks: 1,
        decoderResBlocks: 1,
        attentionLevels: [],
        middle: 'none',
        zChannels: 4,
        embedDim: 4,
        codeGroups: 1,
        codebookSize: 16,
        groups: 4,
      },
    },
    pretrain: {
      ...pictureBook.pretrain,
      batchSize: 4,
      steps: 2,
      optimiser,
      model: {
        ...pretrain,
        encoder: { ...encoder, width: 8, layers: 1, hiddenWidth: 8, globalWidth: 8 },
        image: { imageSize: 64, stemWidth: 8, stemBlocks: 1, width: 8, blocks: 1, narrowWidth: 4, hiddenWidth: 8, globalWidth: 8, groups: 4 },
        tokens: { rows: 8, columns: 8, width: 8 },
        reconstruction: { heads: 2 },
      },
    },
    detector: { ...pictureBook.detector, batchSize: 1, steps: 1, optimiser },
    diffusion: {
      ...pictureBook.diffusion,
      batchSize: 4,
      steps: 2,
      optimiser,
      samplingSteps: 2,
      model: {
        ...pictureBook.diffusion.model,
        inChannels: 4,
        outChannels: 4,
        modelChannels: 8,
        channelMults: [1, 2],
        numResBlocks: 1,
        attentionFactors: [2],
        crossOnlyFactors: [],
        headChannels: 8,
        contextWidth: 8,
        localWidth: 24,
        globalWidth: 8,
        groups: 4,
      },
    },
  };
}

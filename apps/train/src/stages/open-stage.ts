import { pictureBookVocabulary } from '@sgdiff/datasets';
import { initAutoencoder, type AutoencoderParams } from '@sgdiff/latent-autoencoder';
import { initPretrain, initPretrainWith, type PretrainParams } from '@sgdiff/masked-contrastive-pretrain';
import { calibrateThresholds, defaultDetectorConfig, detect, initDetector, toThresholds, type DetectorConfig, type DetectorParams } from '@sgdiff/metrics';
import { initUnet, type UnetParams } from '@sgdiff/diffusion-unet';
import { createRng, disposeParams, type ParamTree } from '@sgdiff/nn';
import type { SceneGraph } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { readPictures } from '../data/batches';
import { openStore, requireData, type PictureStore } from '../data/picture-store';
import { CliError } from '../errors';
import { createOwner, type Owner } from '../owner';
import { readStageRecord, readStageWeights, stageHash, type RunFolder, type StageName } from '../run-folder';
import type { Terminal } from '../terminal';
import type { Stage } from '../training/loop';
import { autoencoderStage, openPerceptual } from './autoencoder';
import { detectorStage } from './detector';
import { diffusionStage, type DiffusionGround } from './diffusion';
import { cacheLatents } from './latents';
import { measureRetrieval, openImageEncoder, pretrainStage } from './pretrain';

/** A stage with the data and frozen parts it stands on. */
export type OpenStage<T extends ParamTree> = {
  readonly stage: Stage<T>;
  /** Numbers of the trained weights that later stages need. Borrows the weights. */
  facts(params: T): Promise<Record<string, unknown>>;
  dispose(): void;
};

/** Opens a stage of a run. The caller disposes it. */
export async function openStage(
  name: StageName,
  config: PictureBookConfig,
  run: RunFolder,
  terminal: Terminal,
): Promise<OpenStage<ParamTree>> {
  requireData(run.data, config.data);
  switch (name) {
    case 'autoencoder':
      return erased(await openAutoencoder(config, run));
    case 'pretrain':
      return erased(await openPretrain(config, run, terminal));
    case 'detector':
      return erased(await openDetector(config, run, terminal));
    case 'diffusion':
      return erased(await openDiffusion(config, run, terminal));
  }
}

/** The trees of the stages differ; whoever runs a stage hands its own weights back to it and nothing else. */
function erased<T extends ParamTree>(open: OpenStage<T>): OpenStage<ParamTree> {
  return open as unknown as OpenStage<ParamTree>;
}

/** Opens what a stage stands on. All of it is freed with the stage, or at once if something fails. */
async function opening<T extends ParamTree>(
  open: (own: Owner['own']) => Omit<OpenStage<T>, 'dispose'> | Promise<Omit<OpenStage<T>, 'dispose'>>,
): Promise<OpenStage<T>> {
  const owner = createOwner();
  try {
    return { ...(await open(owner.own)), dispose: owner.dispose };
  } catch (error) {
    owner.dispose();
    throw error;
  }
}

function openAutoencoder(config: PictureBookConfig, run: RunFolder): Promise<OpenStage<AutoencoderParams>> {
  return opening(async (own) => {
    const train = own(openStore(run.data, 'train'));
    const validation = own(openStore(run.data, 'validation'));
    const perceptual = await openPerceptual(config.autoencoder);
    if (perceptual) own(perceptual);
    return { stage: autoencoderStage(config.autoencoder, train, validation, perceptual), facts: async () => ({}) };
  });
}

function openPretrain(config: PictureBookConfig, run: RunFolder, terminal: Terminal): Promise<OpenStage<PretrainParams<ParamTree>>> {
  return opening(async (own) => {
    const train = own(openStore(run.data, 'train'));
    const validation = own(openStore(run.data, 'validation'));
    const imageEncoder = await openImageEncoder(config.pretrain);
    if (imageEncoder) own(imageEncoder);
    const vocabulary = pictureBookVocabulary();
    return {
      stage: pretrainStage(config.pretrain, vocabulary, train, imageEncoder),
      async facts(params) {
        const candidates = Math.min(100, validation.count);
        const retrieval = await measureRetrieval(params, config.pretrain.model, vocabulary, validation, candidates, imageEncoder);
        const { r1 } = retrieval.graphToImage;
        terminal.say(`retrieval on validation, graph → image: top-1 ${r1.toFixed(3)} among ${retrieval.candidates}`);
        return { validationRetrieval: retrieval };
      },
    };
  });
}

function openDetector(config: PictureBookConfig, run: RunFolder, terminal: Terminal): Promise<OpenStage<DetectorParams>> {
  return opening((own) => {
    const pictures = own(openStore(run.data, 'detector'));
    const validation = own(openStore(run.data, 'validation'));
    const model = pictureBookDetector(config);
    return {
      stage: detectorStage(config.detector, model, pictures),
      async facts(params) {
        terminal.note('detector: choosing its thresholds on the validation split …');
        return { thresholds: await calibrate(params, model, validation) };
      },
    };
  });
}

function openDiffusion(config: PictureBookConfig, run: RunFolder, terminal: Terminal): Promise<OpenStage<UnetParams>> {
  return opening(async (own) => {
    const train = own(openStore(run.data, 'train'));
    const ground = await diffusionGround(config, run, train, terminal, own);
    return {
      stage: diffusionStage(config.diffusion, train, ground),
      facts: async () => ({ latentScale: ground.latentScale }),
    };
  });
}

/** The detector's config: its categories are the vocabulary's words. */
export function pictureBookDetector(config: PictureBookConfig): DetectorConfig {
  return { ...defaultDetectorConfig(pictureBookVocabulary().objects.slice(1)), size: config.data.size };
}

async function calibrate(params: DetectorParams, model: DetectorConfig, store: PictureStore): Promise<Record<string, number>> {
  const truths = store.samples.map(({ objects }) => objects);
  const found = [];
  for (let first = 0; first < store.count; first += 50) {
    const indices = Array.from({ length: Math.min(50, store.count - first) }, (_, i) => first + i);
    const images = tf.tensor4d(readPictures(store, indices), [indices.length, store.size, store.size, 3]);
    try {
      found.push(...(await detect(params, model, images, { defaultThreshold: 0.05 })));
    } finally {
      images.dispose();
    }
  }
  return toThresholds(calibrateThresholds(model.categories, found, truths));
}

/** What it opens goes to `own`. */
async function diffusionGround(
  config: PictureBookConfig,
  run: RunFolder,
  train: PictureStore,
  terminal: Terminal,
  own: Owner['own'],
): Promise<DiffusionGround> {
  for (const needed of ['autoencoder', 'pretrain'] as const) {
    const { step, steps } = readStageRecord(run, needed);
    if (step < steps) terminal.note(`Note: "${needed}" stopped at step ${step} of ${steps}; its weights are used as they are.`);
  }
  const autoencoder = trainedAutoencoder(config, run);
  own({ dispose: () => disposeParams(autoencoder) });
  const frozen = frozenParts(run);
  const latents = await cacheLatents(run.data, 'train', autoencoder, config.autoencoder.model, frozen.autoencoder, train, terminal);
  const channels = config.diffusion.model.inChannels;
  if (latents.shape[2] !== channels) {
    throw new CliError(
      `The autoencoder's latents have ${latents.shape[2]} channels, the U-Net's config says ${channels}. Set diffusion.model.inChannels and outChannels.`,
    );
  }
  const { encoder, ...rest } = trainedPretrain(config, run);
  own({ dispose: () => disposeParams(encoder) });
  disposeParams(rest);
  return {
    vocabulary: pictureBookVocabulary(),
    encoder: { params: encoder, config: config.pretrain.model.encoder },
    autoencoder: { params: autoencoder, config: config.autoencoder.model },
    latents,
    latentScale: 1 / latents.standardDeviation,
    frozen,
    sampleGraphs: sampleGraphs(run),
  };
}

/** Hashes of the weights that the diffusion stage stands on. */
export function frozenParts(run: RunFolder): { autoencoder: string; pretrain: string } {
  return { autoencoder: stageHash(run, 'autoencoder'), pretrain: stageHash(run, 'pretrain') };
}

/** Graphs of the report's pictures: 16 of the validation split, which training never sees. */
function sampleGraphs(run: RunFolder): SceneGraph[] {
  const store = openStore(run.data, 'validation', 16);
  try {
    return store.samples.map(({ graph }) => graph);
  } finally {
    store.dispose();
  }
}

export function trainedAutoencoder(config: PictureBookConfig, run: RunFolder): AutoencoderParams {
  return withTemplate(() => initAutoencoder(config.autoencoder.model, createRng(0)), (template) => readStageWeights(run, 'autoencoder', template));
}

export function trainedDetector(config: PictureBookConfig, run: RunFolder): DetectorParams {
  return withTemplate(() => initDetector(pictureBookDetector(config), createRng(0)), (template) => readStageWeights(run, 'detector', template));
}

export function trainedUnet(config: PictureBookConfig, run: RunFolder): UnetParams {
  return withTemplate(() => initUnet(config.diffusion.model, createRng(0)), (template) => readStageWeights(run, 'diffusion', template));
}

/** `image` is `{}` where the image encoder is another folder's. */
export function trainedPretrain(config: PictureBookConfig, run: RunFolder): PretrainParams<ParamTree> {
  const { model } = config.pretrain;
  const init = (): PretrainParams<ParamTree> =>
    model.image === null ? initPretrainWith(model, {}, createRng(0)) : initPretrain(model, createRng(0));
  return withTemplate(init, (template) => readStageWeights(run, 'pretrain', template));
}

function withTemplate<T extends ParamTree>(init: () => T, use: (template: T) => T): T {
  const template = init();
  try {
    return use(template);
  } finally {
    disposeParams(template);
  }
}

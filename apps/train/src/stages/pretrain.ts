// Shapes: B batch, S side of the stored pictures, E side that the image encoder takes.
import {
  clipImageEncoder,
  clipTensors,
  frozenImageEncoder,
  initPretrain,
  initPretrainWith,
  oppositeIndices,
  pretrainLoss,
  resizeImages,
  retrieval,
  smallImageEncoder,
  type ClipImageEncoderParams,
  type ClipVisionConfig,
  type ImageEncoder,
  type PretrainConfig,
  type PretrainParams,
  type Retrieval,
  type SmallImageEncoderParams,
} from '@sgdiff/masked-contrastive-pretrain';
import { createRng, disposeParams, type ParamTree } from '@sgdiff/nn';
import { loadPart } from '@sgdiff/pipeline';
import { encodeSceneGraphs } from '@sgdiff/sg-encoder';
import { packGraphs, type Vocabulary } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { createBatchOrder, readPictures } from '../data/batches';
import type { PictureStore } from '../data/picture-store';
import { CliError } from '../errors';
import { modelSource } from '../model';
import type { Stage } from '../training/loop';
import { partIdentity, type PartIdentity } from './part-identity';

/** A trained image encoder, frozen, in the place of one that is trained along. */
export type FrozenImages = {
  readonly encode: ImageEncoder;
  /** Against another one, what the graph encoder has learned is worth nothing. */
  readonly identity: PartIdentity;
  dispose(): void;
};

/**
 * The image encoder that `imageEncoder` of the config names, if it names one. The caller disposes it.
 *
 * @throws CliError if its sizes are not those of the config; ModelError if the folder is not sound.
 */
export async function openImageEncoder({ imageEncoder: folder, model }: PictureBookConfig['pretrain']): Promise<FrozenImages | undefined> {
  if (folder === undefined) return undefined;
  const { manifest, config, params } = await loadPart<ClipImageEncoderParams, ClipVisionConfig>(modelSource(folder), 'image-encoder', clipTensors);
  const dispose = (): void => disposeParams(params);
  const lines = imageMisfits(model, config);
  if (lines.length > 0) {
    dispose();
    throw new CliError(`The image encoder ${folder} does not fit the config:\n${lines.join('\n')}\nCorrect these entries in the file given with --config.`);
  }
  const local = model.tokens.classToken ? 'mlp' : 'patches';
  return {
    encode: frozenImageEncoder((images) => clipImageEncoder(params, config, images, { local })),
    identity: partIdentity(manifest),
    dispose,
  };
}

function imageMisfits({ imageSize, tokens, encoder }: PretrainConfig, clip: ClipVisionConfig): string[] {
  const side = clip.imageSize / clip.patchSize;
  const sizes: readonly (readonly [at: string, received: number, expected: number])[] = [
    ['imageSize', imageSize, clip.imageSize],
    ['tokens.rows', tokens.rows, side],
    ['tokens.columns', tokens.columns, side],
    ['tokens.width', tokens.width, clip.width],
    ['encoder.globalWidth', encoder.globalWidth, clip.outputWidth],
  ];
  return sizes
    .filter(([, received, expected]) => received !== expected)
    .map(([at, received, expected]) => `  pretrain.model.${at}: expected ${expected}, received ${received}`);
}

/**
 * Pre-trains the graph encoder against the pictures.
 *
 * @param frozen The image encoder of `config.imageEncoder`, if it names one. Borrowed.
 */
export function pretrainStage(
  config: PictureBookConfig['pretrain'],
  vocabulary: Vocabulary,
  train: PictureStore,
  frozen?: FrozenImages,
): Stage<PretrainParams<ParamTree>> {
  const { batchSize, seed } = config;
  const model: PretrainConfig = config.model;
  const order = createBatchOrder(train.count, batchSize, seed);
  const opposites = oppositeIndices(vocabulary);
  let indices: Int32Array = new Int32Array(0);
  let images: Float32Array = new Float32Array(0);
  return {
    name: 'pretrain',
    init() {
      const rng = createRng(seed, 'pretrain');
      return frozen ? initPretrainWith(model, {}, rng) : initPretrain(model, rng);
    },
    config: frozen ? frozenConfig(config, frozen) : config,
    optimiser: config.optimiser,
    batchSize,
    steps: config.steps,
    splitsBatch: false,
    prepare(step) {
      indices = order(step);
      images = readPictures(train, indices);
    },
    loss(params, step) {
      const samples = Array.from(indices, (index) => train.samples[index]);
      const batch = {
        images: sized(tf.tensor4d(images, [batchSize, train.size, train.size, 3]), model),
        packed: packGraphs(samples.map(({ graph }) => graph), vocabulary, { maxTriples: model.encoder.maxTriples }),
        boxes: samples.map(({ graph }) => graph.boxes ?? []),
      };
      const { loss, contrastive, masked } = pretrainLoss(params, model, batch, createRng(seed, 'mask', step), {
        opposites,
        ...(frozen && { imageEncoder: frozen.encode }),
      });
      return { loss, terms: { contrastive, masked } };
    },
  };
}

/** Where the folder lies may change between sessions; what is in it may not. */
function frozenConfig({ imageEncoder: _, ...config }: PictureBookConfig['pretrain'], { identity }: FrozenImages): unknown {
  return { ...config, frozen: { imageEncoder: identity } };
}

/** Pictures `[B, S, S, 3]` at the size that the image encoder takes, `[B, E, E, 3]`. */
function sized(pictures: tf.Tensor4D, { imageSize }: PretrainConfig): tf.Tensor4D {
  return pictures.shape[1] === imageSize ? pictures : resizeImages(pictures, imageSize);
}

const BATCH = 50;

/** How well pictures and graphs of a split find each other, among `candidates` at a time; the mean over whole groups. */
export async function measureRetrieval(
  params: Pick<PretrainParams<ParamTree>, 'encoder' | 'image'>,
  config: PretrainConfig,
  vocabulary: Vocabulary,
  store: PictureStore,
  candidates: number,
  frozen?: FrozenImages,
): Promise<Retrieval> {
  const encodeImages = frozen?.encode ?? trainedAlong(params.image, config);
  const count = Math.floor(store.count / candidates) * candidates;
  if (count === 0) {
    throw new CliError(`Retrieval among ${candidates} needs as many pictures, the split has ${store.count}. Prepare more.`);
  }
  const width = config.encoder.globalWidth;
  const graphGlobals = new Float32Array(count * width);
  const imageGlobals = new Float32Array(count * width);
  for (let first = 0; first < count; first += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, count - first) }, (_, i) => first + i);
    const packed = packGraphs(indices.map((index) => store.samples[index].graph), vocabulary, {
      maxTriples: config.encoder.maxTriples,
    });
    const pixels = readPictures(store, indices);
    const [graphs, pictures] = tf.tidy(() => [
      encodeSceneGraphs(params.encoder, config.encoder, packed).global,
      encodeImages(sized(tf.tensor4d(pixels, [indices.length, store.size, store.size, 3]), config)).global,
    ]);
    try {
      graphGlobals.set(await graphs.data(), first * width);
      imageGlobals.set(await pictures.data(), first * width);
    } finally {
      tf.dispose([graphs, pictures]);
    }
  }
  return retrieval(graphGlobals, imageGlobals, { width, candidates });
}

function trainedAlong(weights: ParamTree, { image }: PretrainConfig): ImageEncoder {
  if (image === null) throw new CliError('Retrieval needs the image encoder of pre-training; this config has none.');
  return (images) => smallImageEncoder(weights as SmallImageEncoderParams, image, images);
}

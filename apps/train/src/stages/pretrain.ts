import {
  initPretrain,
  oppositeIndices,
  pretrainLoss,
  retrieval,
  smallImageEncoder,
  type PretrainConfig,
  type PretrainParams,
  type Retrieval,
} from '@sgdiff/masked-contrastive-pretrain';
import { createRng } from '@sgdiff/nn';
import { encodeSceneGraphs } from '@sgdiff/sg-encoder';
import { packGraphs, type Vocabulary } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { createBatchOrder, readPictures } from '../data/batches';
import type { PictureStore } from '../data/picture-store';
import { CliError } from '../errors';
import type { Stage } from '../training/loop';

/** Pre-trains the graph encoder against the pictures. */
export function pretrainStage(
  config: PictureBookConfig['pretrain'],
  vocabulary: Vocabulary,
  train: PictureStore,
): Stage<PretrainParams> {
  const { batchSize, seed } = config;
  const model: PretrainConfig = config.model;
  const order = createBatchOrder(train.count, batchSize, seed);
  const opposites = oppositeIndices(vocabulary);
  let indices: Int32Array = new Int32Array(0);
  let images: Float32Array = new Float32Array(0);
  return {
    name: 'pretrain',
    init: () => initPretrain(model, createRng(seed, 'pretrain')),
    config,
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
        images: tf.tensor4d(images, [batchSize, train.size, train.size, 3]),
        packed: packGraphs(samples.map(({ graph }) => graph), vocabulary, { maxTriples: model.encoder.maxTriples }),
        boxes: samples.map(({ graph }) => graph.boxes ?? []),
      };
      const { loss, contrastive, masked } = pretrainLoss(params, model, batch, createRng(seed, 'mask', step), { opposites });
      return { loss, terms: { contrastive, masked } };
    },
  };
}

const BATCH = 50;

/** How well pictures and graphs of a split find each other, among `candidates` at a time; the mean over whole groups. */
export async function measureRetrieval(
  params: Pick<PretrainParams, 'encoder' | 'image'>,
  config: PretrainConfig,
  vocabulary: Vocabulary,
  store: PictureStore,
  candidates: number,
): Promise<Retrieval> {
  const image = config.image;
  if (image === null) throw new CliError('Retrieval needs the image encoder that was pre-trained along; this model has none.');
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
      smallImageEncoder(params.image, image, tf.tensor4d(pixels, [indices.length, store.size, store.size, 3])).global,
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

import {
  degradeImages,
  detectorLoss,
  detectorTargets,
  initDetector,
  type DetectorConfig,
  type DetectorParams,
} from '@sgdiff/metrics';
import { createRng } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import type { PictureBookConfig } from '../configs/config';
import { createBatchOrder, readPictures } from '../data/batches';
import type { PictureStore } from '../data/picture-store';
import { partOf } from '../training/data-parallel';
import type { Stage } from '../training/loop';

/** Trains the detector that graph compliance is measured with, on renders kept for it alone. */
export function detectorStage(
  config: PictureBookConfig['detector'],
  model: DetectorConfig,
  pictures: PictureStore,
): Stage<DetectorParams> {
  const { batchSize, seed } = config;
  const order = createBatchOrder(pictures.count, batchSize, seed);
  let indices: Int32Array = new Int32Array(0);
  let pixels: Float32Array = new Float32Array(0);
  return {
    name: 'detector',
    init: () => initDetector(model, createRng(seed, 'detector')),
    config,
    optimiser: config.optimiser,
    batchSize,
    steps: config.steps,
    splitsBatch: true, // each part is divided by its own number of things: the mean differs a little, the direction does not
    prepare(step, part) {
      indices = partOf(order(step), part);
      pixels = readPictures(pictures, indices);
    },
    loss(params, step, part) {
      const targets = detectorTargets(model, Array.from(indices, (index) => pictures.samples[index].objects));
      const degraded = degradeImages(pixels, pictures.size, createRng(seed, 'degrade', step, part.index));
      const images = tf.tensor4d(degraded, [indices.length, pictures.size, pictures.size, 3]);
      const { loss, heatmap, box } = detectorLoss(params, model, images, targets);
      return { loss, terms: { heatmap, box } };
    },
  };
}

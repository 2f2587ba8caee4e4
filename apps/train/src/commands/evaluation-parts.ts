// What a picture-book model carries to be measured with, and the data to measure it on.
import { pictureBookVocabulary, relationHolds, renderScene, sampleScene, type PictureBookSample } from '@sgdiff/datasets';
import type { PretrainConfig } from '@sgdiff/masked-contrastive-pretrain';
import { detect, initDetector, type Detection, type DetectorConfig, type RelationRule } from '@sgdiff/metrics';
import { createRng, disposeParams } from '@sgdiff/nn';
import { loadModelWeights, type ModelSource, type Pipeline } from '@sgdiff/pipeline';
import * as tf from '@tensorflow/tfjs-core';
import { CliError } from '../errors';
import { createRasterizer } from '../rasterizer';

/** In `parts.evaluation` of model.json. */
export type EvaluationParts = {
  readonly pretrain: PretrainConfig;
  readonly detector: DetectorConfig;
  readonly thresholds: Readonly<Record<string, number>>;
  readonly data: { readonly seed: number; readonly size: number };
};

/** Splits that no stage is trained on. The detector's thresholds come from `validation`. */
export const EVALUATION_SPLITS = ['test', 'validation'] as const;
export type EvaluationSplit = (typeof EVALUATION_SPLITS)[number];

/** Slack of the relation rule on detected boxes, in picture sides: two pixels at 64 px. */
export const TOLERANCE = 2 / 64;
const BATCH = 10;

/** Whether a relation holds between detected things. */
export const holdsBetween: RelationRule = (predicate, subject, object) => relationHolds(predicate, subject, object, { tolerance: TOLERANCE });

/** @throws CliError for a model that `sgdiff export` did not make, or one of another vocabulary. */
export function evaluationParts(pipeline: Pipeline): EvaluationParts {
  const evaluation = pipeline.manifest.parts.evaluation as EvaluationParts | undefined;
  if (!evaluation?.pretrain) {
    throw new CliError(`The model "${pipeline.manifest.name}" carries nothing to evaluate it with on picture-book. Only models of "sgdiff export" carry that; an imported one draws, but cannot be measured here.`);
  }
  const words = pictureBookVocabulary().objects;
  if (pipeline.vocabulary.objects.join() !== words.join()) {
    throw new CliError(`The model "${pipeline.manifest.name}" has another vocabulary than picture-book, so it cannot be evaluated on it.`);
  }
  return evaluation;
}

/** The detector that a model carries. */
export type ModelDetector = {
  /** What is in each picture of RGB bytes. */
  readonly detect: (images: readonly Uint8Array[]) => Promise<Detection[][]>;
  readonly dispose: () => void;
};

/** @throws CliError unless the model carries one. */
export async function loadModelDetector(source: ModelSource, pipeline: Pipeline): Promise<ModelDetector> {
  const { detector, thresholds, data } = evaluationParts(pipeline);
  if (!detector) {
    throw new CliError(`The model "${pipeline.manifest.name}" carries no detector to measure with. Train one ("sgdiff train detector") and export again.`);
  }
  const params = await loadModelWeights(source, pipeline.manifest, 'detector.safetensors', () => initDetector(detector, createRng(0)));
  return {
    detect: async (images) => {
      const found: Detection[][] = [];
      for (let first = 0; first < images.length; first += BATCH) {
        const tensor = toTensor(images.slice(first, first + BATCH), data.size);
        try {
          found.push(...(await detect(params, detector, tensor, { thresholds })));
        } finally {
          tensor.dispose();
        }
      }
      return found;
    },
    dispose: () => disposeParams(params),
  };
}

/** The first scenes of a split, with their true renders. */
export async function unseenSamples(parts: EvaluationParts, split: EvaluationSplit, count: number): Promise<PictureBookSample[]> {
  const { seed, size } = parts.data;
  const rasterize = await createRasterizer();
  return Array.from({ length: count }, (_, i) => renderScene(sampleScene({ seed, split, index: i }), size, rasterize));
}

/** RGB bytes to `[B, S, S, 3]` in [-1, 1]. The caller disposes it. */
export function toTensor(images: readonly Uint8Array[], size: number): tf.Tensor4D {
  const values = new Float32Array(images.length * size * size * 3);
  images.forEach((image, i) => {
    for (let k = 0; k < image.length; k++) values[i * image.length + k] = image[k] / 127.5 - 1;
  });
  return tf.tensor4d(values, [images.length, size, size, 3]);
}

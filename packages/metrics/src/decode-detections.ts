// Shapes: B batch, G cells per side, K categories.
import type { Box } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';
import { boxIou, type Detection } from './detection';
import { DETECTOR_STRIDE, detector, type DetectorConfig, type DetectorParams } from './detector';
import { MetricsError } from './metrics-error';

/** Least score per category name; categories that are missing use `defaultThreshold`. */
export type DetectionThresholds = Readonly<Record<string, number>>;

export type DecodeOptions = {
  readonly thresholds?: DetectionThresholds;
  /** Least score of categories without their own. */
  readonly defaultThreshold?: number;
  /** Of two boxes of one category that overlap more than this (IoU), only the better one stays. 1 keeps both. */
  readonly overlap?: number;
  /** At most this many per picture, best first. */
  readonly maxDetections?: number;
};

/**
 * Detections from the detector's read-back output: cells that no neighbour of the 3x3 around them exceeds, above
 * their category's threshold, best first. Of equal neighbours the first in reading order counts.
 *
 * @param heatmaps Logits `[B, G, G, K]`, row-major.
 * @param boxes Distances `[B, G, G, 4 K]`, row-major.
 * @returns One list per picture; boxes are cut to the picture.
 * @throws MetricsError if the arrays do not fit the config.
 */
export function decodeDetections(
  config: DetectorConfig,
  output: { readonly heatmaps: Float32Array; readonly boxes: Float32Array },
  options: DecodeOptions = {},
): Detection[][] {
  const { thresholds = {}, defaultThreshold = 0.3, overlap = 0.65, maxDetections = 100 } = options;
  const { heatmaps, boxes } = output;
  const G = config.size / DETECTOR_STRIDE;
  const K = config.categories.length;
  const perPicture = G * G * K;
  if (heatmaps.length % perPicture !== 0 || boxes.length !== heatmaps.length * 4) {
    throw new MetricsError(
      `decodeDetections: expected heatmaps of B * ${perPicture} values and boxes of 4 times as many, ` +
        `received ${heatmaps.length} and ${boxes.length}.`,
    );
  }
  const found: Detection[][] = [];
  for (let b = 0; b < heatmaps.length / perPicture; b++) {
    const picture: Detection[] = [];
    for (let k = 0; k < K; k++) {
      const category = config.categories[k];
      const threshold = thresholds[category] ?? defaultThreshold;
      const ofCategory: Detection[] = [];
      for (let y = 0; y < G; y++) {
        for (let x = 0; x < G; x++) {
          const cell = ((b * G + y) * G + x) * K + k;
          const score = 1 / (1 + Math.exp(-heatmaps[cell]));
          if (score < threshold || !isPeak(heatmaps, b, y, x, k, G, K)) continue;
          ofCategory.push({ category, score, box: boxAround((x + 0.5) / G, (y + 0.5) / G, boxes, cell * 4) });
        }
      }
      picture.push(...withoutDoubles(ofCategory, overlap));
    }
    picture.sort((p, q) => q.score - p.score);
    found.push(picture.slice(0, maxDetections));
  }
  return found;
}

/**
 * Detections in a batch of pictures: the network, the read-back and `decodeDetections`.
 *
 * @param images `[B, S, S, 3]`, float32, in [-1, 1]. Borrowed.
 */
export async function detect(
  params: DetectorParams,
  config: DetectorConfig,
  images: tf.Tensor4D,
  options: DecodeOptions = {},
): Promise<Detection[][]> {
  const { heatmaps, boxes } = detector(params, config, images);
  try {
    const [heat, sides] = await Promise.all([heatmaps.data<'float32'>(), boxes.data<'float32'>()]);
    return decodeDetections(config, { heatmaps: heat, boxes: sides }, options);
  } finally {
    tf.dispose([heatmaps, boxes]);
  }
}

function isPeak(heatmaps: Float32Array, b: number, y: number, x: number, k: number, G: number, K: number): boolean {
  const own = heatmaps[((b * G + y) * G + x) * K + k];
  for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, G - 1); v++) {
    for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, G - 1); u++) {
      const other = heatmaps[((b * G + v) * G + u) * K + k];
      if (other > own) return false;
      if (other === own && (v < y || (v === y && u < x))) return false;
    }
  }
  return true;
}

function boxAround(px: number, py: number, sides: Float32Array, at: number): Box {
  const cut = (value: number) => Math.min(Math.max(value, 0), 1);
  const x0 = cut(px - sides[at]);
  const y0 = cut(py - sides[at + 1]);
  return [x0, y0, Math.max(cut(px + sides[at + 2]), x0), Math.max(cut(py + sides[at + 3]), y0)];
}

function withoutDoubles(detections: readonly Detection[], overlap: number): Detection[] {
  const kept: Detection[] = [];
  for (const candidate of [...detections].sort((p, q) => q.score - p.score)) {
    if (kept.every((better) => boxIou(better.box, candidate.box) <= overlap)) kept.push(candidate);
  }
  return kept;
}

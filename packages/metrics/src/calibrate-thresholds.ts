import { boxIou, type Detection, type LabelledBox } from './detection';
import { MetricsError } from './metrics-error';

export type CategoryCalibration = {
  readonly category: string;
  /** Least score that a detection of this category should have. */
  readonly threshold: number;
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** True things of this category in the set. */
  readonly count: number;
};

export type CalibrationOptions = {
  /** A detection is right if it overlaps a true thing of its category, not taken by a better one, at least this much (IoU). */
  readonly overlap?: number;
  /** Threshold of categories that the set does not show, or that are never found. */
  readonly fallback?: number;
};

/**
 * The threshold of each category with the best F1 on labelled pictures: the middle between the last score worth keeping
 * and the next one. Detect with a low threshold first (0.05), so that there is something to choose from.
 *
 * @param categories Names to calibrate, in the order of the result.
 * @param detections One list per picture.
 * @param things The true things of the same pictures.
 * @throws MetricsError if the two lists differ in length.
 */
export function calibrateThresholds(
  categories: readonly string[],
  detections: readonly (readonly Detection[])[],
  things: readonly (readonly LabelledBox[])[],
  options: CalibrationOptions = {},
): CategoryCalibration[] {
  const { overlap = 0.5, fallback = 0.3 } = options;
  if (detections.length !== things.length) {
    throw new MetricsError(
      `calibrateThresholds: expected detections and things of the same pictures, ` +
        `received ${detections.length} and ${things.length} lists.`,
    );
  }
  return categories.map((category) => {
    const scored: { score: number; right: boolean }[] = [];
    let count = 0;
    detections.forEach((ofPicture, i) => {
      const truths = things[i].filter((thing) => thing.category === category);
      count += truths.length;
      scored.push(
        ...matchDetections(
          ofPicture.filter((d) => d.category === category),
          truths,
          overlap,
        ),
      );
    });
    return { category, count, ...bestThreshold(scored, count, fallback) };
  });
}

/** The thresholds of a calibration in the form that `decodeDetections` takes. */
export function toThresholds(calibration: readonly CategoryCalibration[]): Record<string, number> {
  return Object.fromEntries(calibration.map(({ category, threshold }) => [category, threshold]));
}

/** Best first, each detection takes the free true thing that it overlaps most. */
function matchDetections(detections: readonly Detection[], truths: readonly LabelledBox[], overlap: number) {
  const free = new Set(truths);
  return [...detections]
    .sort((p, q) => q.score - p.score)
    .map(({ score, box }) => {
      let best: LabelledBox | undefined;
      let bestOverlap = overlap;
      for (const truth of free) {
        const iou = boxIou(box, truth.box);
        if (iou >= bestOverlap) [best, bestOverlap] = [truth, iou];
      }
      if (best !== undefined) free.delete(best);
      return { score, right: best !== undefined };
    });
}

function bestThreshold(scored: readonly { score: number; right: boolean }[], count: number, fallback: number) {
  const sorted = [...scored].sort((p, q) => q.score - p.score);
  let best = { threshold: fallback, precision: 0, recall: 0, f1: 0 };
  let hits = 0;
  sorted.forEach(({ score, right }, i) => {
    if (right) hits++;
    const next = sorted[i + 1]?.score ?? 0;
    if (next === score || hits === 0) return; // equal scores stand or fall together
    const precision = hits / (i + 1);
    const recall = hits / count;
    const f1 = (2 * precision * recall) / (precision + recall);
    if (f1 > best.f1) best = { threshold: (score + next) / 2, precision, recall, f1 };
  });
  return best;
}

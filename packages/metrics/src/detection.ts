import type { Box } from '@sgdiff/sg-schema';

/** One thing found in a picture. */
export type Detection = {
  readonly category: string;
  /** Probability of the heat-map's peak, 0..1. */
  readonly score: number;
  /** `[x0, y0, x1, y1]` in [0, 1]. */
  readonly box: Box;
};

/** One thing that truly is in a picture. Things (and extra keys) of a picture-book sample fit as they are. */
export type LabelledBox = { readonly category: string; readonly box: Box };

/** Area of overlap divided by area of union, 0..1; 0 when both boxes are empty. */
export function boxIou(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const overlap = Math.max(width, 0) * Math.max(height, 0);
  const union = boxArea(a) + boxArea(b) - overlap;
  return union > 0 ? overlap / union : 0;
}

function boxArea(box: Box): number {
  return Math.max(box[2] - box[0], 0) * Math.max(box[3] - box[1], 0);
}

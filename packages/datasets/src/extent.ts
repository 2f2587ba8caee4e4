import type { SceneThing } from './scene';
import { SPRITES } from './sprites';

/** Left, top, right, bottom in pixels of a 64-pixel picture. */
export type Extent = readonly [x0: number, y0: number, x1: number, y1: number];

/** The space a thing takes when nothing hides it. */
export function boxOfThing({ category, x, y, scale }: Pick<SceneThing, 'category' | 'x' | 'y' | 'scale'>): Extent {
  const { width, height } = SPRITES[category];
  return [x - (width * scale) / 2, y - height * scale, x + (width * scale) / 2, y];
}

/** The share of `covered` that `cover` overlaps, in [0, 1]. */
export function overlapShare(covered: Extent, cover: Extent): number {
  const width = Math.min(covered[2], cover[2]) - Math.max(covered[0], cover[0]);
  const height = Math.min(covered[3], cover[3]) - Math.max(covered[1], cover[1]);
  if (width <= 0 || height <= 0) return 0;
  return (width * height) / ((covered[2] - covered[0]) * (covered[3] - covered[1]));
}

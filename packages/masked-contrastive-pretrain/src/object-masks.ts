// Shapes: B batch, H and W height and width of the raster.
import type { Rng } from '@sgdiff/nn';
import type { Box } from '@sgdiff/sg-schema';
import { PretrainError } from './errors';

/** Boxes of one image's objects; `null` where a box is not known. `__image__` has no entry, so it cannot be masked. */
export type ImageBoxes = readonly (Box | null)[];

/**
 * Which objects of each image are hidden: each with the given probability, image by image independent of the batch.
 *
 * @param boxes One list per image.
 * @param maskProbability In [0, 1].
 * @returns One list of booleans per image; always `false` for an object without a box.
 */
export function selectObjects(boxes: readonly ImageBoxes[], maskProbability: number, rng: Rng): boolean[][] {
  if (!(maskProbability >= 0 && maskProbability <= 1)) {
    throw new PretrainError(
      `selectObjects: expected a maskProbability in [0, 1], received ${String(maskProbability)}.`,
      { code: 'invalid_config' },
    );
  }
  return boxes.map((image, b) => {
    const draws = rng.fork(b);
    return image.map((box) => {
      const hidden = draws.uniform() < maskProbability; // drawn for every object, so that a missing box shifts no other
      return hidden && box !== null;
    });
  });
}

/**
 * The union of the selected boxes on a raster. A cell is hidden when its centre lies in a box, half-open
 * (`x0 <= x < x1`), so boxes that share an edge share no cell, and a box of zero size hides nothing.
 *
 * @returns `[B, H, W]` row-major: 1 hidden, 0 visible.
 */
export function rasterizeBoxes(
  boxes: readonly ImageBoxes[],
  selected: readonly (readonly boolean[])[],
  height: number,
  width: number,
): Float32Array {
  const mask = new Float32Array(boxes.length * height * width);
  boxes.forEach((image, b) => {
    image.forEach((box, i) => {
      if (box === null || selected[b]![i] !== true) return;
      const [x0, y0, x1, y1] = box;
      // Centre (x + 0.5) / width lies in [x0, x1) for x from ceil(x0 * width - 0.5) on, up to the same of x1.
      const [left, right] = [x0, x1].map((x) => clamp(Math.ceil(x * width - 0.5), 0, width)) as [number, number];
      const [top, bottom] = [y0, y1].map((y) => clamp(Math.ceil(y * height - 0.5), 0, height)) as [number, number];
      for (let y = top; y < bottom; y++) {
        const row = (b * height + y) * width;
        if (right > left) mask.fill(1, row + left, row + right);
      }
    });
  });
  return mask;
}

/**
 * Masks that hide objects: `selectObjects`, then `rasterizeBoxes`. Unlike the published code, `__image__` is never
 * hidden, overlapping boxes make a union in {0, 1}, and boxes are not enlarged.
 *
 * @returns `[B, gridH, gridW]` row-major: 1 hidden, 0 visible.
 * @see arXiv:2211.11138, section 3.1 (masking of the regions of objects).
 */
export function objectMasks(
  boxes: readonly ImageBoxes[],
  maskProbability: number,
  rng: Rng,
  gridH: number,
  gridW: number,
): Float32Array {
  return rasterizeBoxes(boxes, selectObjects(boxes, maskProbability, rng), gridH, gridW);
}

function clamp(x: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, x));
}

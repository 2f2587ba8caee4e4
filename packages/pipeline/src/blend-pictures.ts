// Shapes: h, w cells of the latents, S picture side in px.
import type { Regions } from './hold-regions';

/**
 * The pictures of a chain of edits, each laid over the one before it: drawn anew in its region, and outside, where all cells are 0, the
 * one before it to the byte. What the decoder carries over the region's edge is thereby left out, and of a picture of one's own what
 * the autoencoder loses.
 *
 * @param pictures RGB bytes of each as it was decoded, `S * S * 3`.
 * @param regions One per picture, `h * w` values from 0 to 1; the first has none, and one without is taken as it is.
 * @param original Takes the place of the first picture.
 */
export function blendPictures(
  pictures: readonly Uint8Array[],
  regions: Regions,
  [h, w]: readonly [h: number, w: number, ...rest: number[]],
  side: number,
  original?: Uint8Array,
): Uint8Array[] {
  const blended: Uint8Array[] = [];
  for (const [i, drawn] of pictures.entries()) {
    const region = regions[i];
    if (!region) {
      blended.push(i === 0 && original ? original.slice() : drawn);
      continue;
    }
    const opacity = opacityOf(region, h, w, side);
    const below = blended[i - 1];
    blended.push(drawn.map((value, at) => Math.round(below[at] + opacity[Math.floor(at / 3)] * (value - below[at]))));
  }
  return blended;
}

/**
 * How far each pixel is the new picture's. At a corner between cells it is the least of theirs, and bilinear within a cell, so that a
 * cell of 0 is 0 throughout and no edge shows.
 */
function opacityOf(region: Float32Array, h: number, w: number, side: number): Float32Array {
  const cell = (row: number, column: number): number =>
    region[Math.min(Math.max(row, 0), h - 1) * w + Math.min(Math.max(column, 0), w - 1)];
  const corner = (row: number, column: number): number =>
    Math.min(cell(row - 1, column - 1), cell(row - 1, column), cell(row, column - 1), cell(row, column));
  return Float32Array.from({ length: side * side }, (_, pixel) => {
    const [y, x] = [((Math.floor(pixel / side) + 0.5) * h) / side, (((pixel % side) + 0.5) * w) / side];
    const [row, column] = [Math.floor(y), Math.floor(x)];
    const [down, across] = [y - row, x - column];
    const upper = corner(row, column) * (1 - across) + corner(row, column + 1) * across;
    const lower = corner(row + 1, column) * (1 - across) + corner(row + 1, column + 1) * across;
    return upper * (1 - down) + lower * down;
  });
}

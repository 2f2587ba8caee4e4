// Shapes: h, w cells of the latents, S picture side in px.
import type { Regions } from './hold-regions';

/**
 * The pictures of a chain of edits that begins with one of one's own, with what the autoencoder lost of that put back: its difference from
 * the first picture as decoded, in every place where no edit drew. Where a picture was decoded as the first one was, it thereby is the
 * original, to the byte.
 *
 * @param pictures RGB bytes of each as it was decoded, `S * S * 3`.
 * @param regions One per picture, `h * w` values from 0 to 1; the first has none.
 * @param original RGB bytes of the picture that the first one was encoded from.
 */
export function restoreDetail(
  pictures: readonly Uint8Array[],
  regions: Regions,
  [h, w]: readonly [h: number, w: number, ...rest: number[]],
  side: number,
  original: Uint8Array,
): Uint8Array[] {
  const [first] = pictures;
  const lost = Float32Array.from(original, (value, at) => value - first[at]);
  return pictures.map((picture, i) => {
    const region = regions[i];
    if (region) {
      const drawn = shareDrawn(region, h, w, side);
      for (let at = 0; at < lost.length; at++) lost[at] *= 1 - drawn[Math.floor(at / 3)]; // of later pictures, too
    }
    const restored = new Uint8ClampedArray(picture.length); // rounds and cuts to 0 … 255
    for (let at = 0; at < picture.length; at++) restored[at] = picture[at] + lost[at];
    return new Uint8Array(restored.buffer);
  });
}

/**
 * How far each pixel was drawn anew: at a corner between cells it is the most of theirs, and bilinear within a cell. So it is 1 in all of
 * a cell of 1, and fades out over the cells around the region, into which the decoder carries what is drawn.
 */
function shareDrawn(region: Float32Array, h: number, w: number, side: number): Float32Array {
  const cell = (row: number, column: number): number =>
    region[Math.min(Math.max(row, 0), h - 1) * w + Math.min(Math.max(column, 0), w - 1)];
  const corner = (row: number, column: number): number =>
    Math.max(cell(row - 1, column - 1), cell(row - 1, column), cell(row, column - 1), cell(row, column));
  return Float32Array.from({ length: side * side }, (_, pixel) => {
    const [y, x] = [((Math.floor(pixel / side) + 0.5) * h) / side, (((pixel % side) + 0.5) * w) / side];
    const [row, column] = [Math.floor(y), Math.floor(x)];
    const [down, across] = [y - row, x - column];
    const upper = corner(row, column) * (1 - across) + corner(row, column + 1) * across;
    const lower = corner(row + 1, column) * (1 - across) + corner(row + 1, column + 1) * across;
    return upper * (1 - down) + lower * down;
  });
}

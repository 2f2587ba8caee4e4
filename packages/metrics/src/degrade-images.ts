// Shapes: B batch, S picture side, images [B, S, S, 3] as a flat row-major array.
import type { Rng } from '@sgdiff/nn';
import { MetricsError } from './metrics-error';

/** Largest strength of each kind; every picture draws its own strengths between 0 and these. */
export type DegradeOptions = {
  /** Standard deviation of Gaussian noise per value, in units of [-1, 1]. */
  readonly noise?: number;
  /** Share of the 3x3 box mean mixed in, 0..1. */
  readonly blur?: number;
  /** Share of the 2x2 block mean mixed in, 0..1: the lost detail of an autoencoder. */
  readonly blocks?: number;
  /** Shift of each colour channel, in units of [-1, 1]. */
  readonly colour?: number;
  /** Share of pictures that stay as they are, 0..1. */
  readonly untouched?: number;
};

/**
 * Pictures made slightly worse, so that a detector trained on them does not lean on crisp pixels that a generator
 * cannot give. What happens to picture b depends on `rng` and b only, not on the batch.
 *
 * @param images `[B, size, size, 3]` in [-1, 1], row-major. Borrowed.
 * @returns A new array of the same shape, in [-1, 1].
 * @throws MetricsError if the array does not hold whole pictures.
 */
export function degradeImages(images: Float32Array, size: number, rng: Rng, options: DegradeOptions = {}): Float32Array {
  const { noise = 0.12, blur = 1, blocks = 0.7, colour = 0.08, untouched = 0.2 } = options;
  const perPicture = size * size * 3;
  if (images.length === 0 || images.length % perPicture !== 0 || size % 2 !== 0) {
    throw new MetricsError(
      `degradeImages: expected an even size and a multiple of size * size * 3 = ${perPicture} values, ` +
        `received size ${size} and ${images.length} values.`,
    );
  }
  const out = new Float32Array(images);
  for (let b = 0; b < images.length / perPicture; b++) {
    const own = rng.fork('degrade', b);
    if (own.uniform() < untouched) continue;
    const picture = out.subarray(b * perPicture, (b + 1) * perPicture);
    mixBoxMean(picture, size, blur * own.uniform());
    mixBlockMean(picture, size, blocks * own.uniform());
    const shift = [0, 1, 2].map(() => colour * (2 * own.uniform() - 1));
    const strength = noise * own.uniform();
    const draws = own.fork('noise').fillNormal(new Float32Array(perPicture));
    for (let i = 0; i < perPicture; i++) {
      picture[i] = Math.min(Math.max(picture[i] + shift[i % 3] + strength * draws[i], -1), 1);
    }
  }
  return out;
}

/** Mixes in the mean of the 3x3 pixels around each pixel (fewer at the edge). */
function mixBoxMean(picture: Float32Array, size: number, share: number): void {
  const source = new Float32Array(picture);
  for (let y = 0; y < size; y++) {
    const y0 = Math.max(y - 1, 0);
    const y1 = Math.min(y + 1, size - 1);
    for (let x = 0; x < size; x++) {
      const x0 = Math.max(x - 1, 0);
      const x1 = Math.min(x + 1, size - 1);
      const weight = 1 / ((y1 - y0 + 1) * (x1 - x0 + 1));
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let v = y0; v <= y1; v++) for (let u = x0; u <= x1; u++) sum += source[(v * size + u) * 3 + c];
        const at = (y * size + x) * 3 + c;
        picture[at] = source[at] + share * (sum * weight - source[at]);
      }
    }
  }
}

/** Mixes in the mean of the 2x2 block that each pixel lies in. */
function mixBlockMean(picture: Float32Array, size: number, share: number): void {
  const row = size * 3;
  for (let y = 0; y < size; y += 2) {
    for (let x = 0; x < size; x += 2) {
      for (let c = 0; c < 3; c++) {
        const at = y * row + x * 3 + c;
        const places = [at, at + 3, at + row, at + row + 3];
        const mean = places.reduce((sum, place) => sum + picture[place], 0) / 4;
        for (const place of places) picture[place] = picture[place] + share * (mean - picture[place]);
      }
    }
  }
}

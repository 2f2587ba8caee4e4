// Shapes: B batch, S picture side, images [B, S, S, 3] as a flat row-major array.
import { createRng, type Rng } from '@sgdiff/nn';
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
export function degradeImages(
  images: Float32Array,
  size: number,
  rng: Rng,
  options: DegradeOptions = {},
): Float32Array {
  const { noise = 0.12, blur = 1, blocks = 0.7, colour = 0.08, untouched = 0.2 } = options;
  const perPicture = size * size * 3;
  if (images.length === 0 || images.length % perPicture !== 0 || size % 2 !== 0) {
    throw new MetricsError(
      `degradeImages: expected an even size and a multiple of size * size * 3 = ${perPicture} values, ` +
        `received size ${size} and ${images.length} values.`,
    );
  }
  const bank = normals();
  const out = new Float32Array(images);
  for (let b = 0; b < images.length / perPicture; b++) {
    const own = rng.fork('degrade', b);
    if (own.uniform() < untouched) continue;
    const picture = out.subarray(b * perPicture, (b + 1) * perPicture);
    mixBoxMean(picture, size, blur * own.uniform());
    mixBlockMean(picture, size, blocks * own.uniform());
    const shift = [0, 1, 2].map(() => colour * (2 * own.uniform() - 1));
    const strength = noise * own.uniform();
    const start = own.int(NOISE_BANK);
    for (let i = 0; i < perPicture; i++) {
      picture[i] = Math.min(Math.max(picture[i] + shift[i % 3] + strength * bank[(start + i) % NOISE_BANK], -1), 1);
    }
  }
  return out;
}

/** Normals that every picture starts to read at a place of its own: drawing 12,288 anew per picture would cost as much as training. */
const NOISE_BANK = 1 << 16;
let bankOfNormals: Float32Array | undefined;

function normals(): Float32Array {
  bankOfNormals ??= createRng('degradeImages', 'noise').fillNormal(new Float32Array(NOISE_BANK));
  return bankOfNormals;
}

/** Mixes in the mean of the 3x3 pixels around each pixel (fewer at the edge): sums of three across, then of three down. */
function mixBoxMean(picture: Float32Array, size: number, share: number): void {
  const row = size * 3;
  const across = new Float32Array(picture.length);
  for (let i = 0; i < picture.length; i++) {
    const x = i % row;
    across[i] = picture[i] + (x >= 3 ? picture[i - 3] : 0) + (x < row - 3 ? picture[i + 3] : 0);
  }
  for (let i = 0; i < picture.length; i++) {
    const x = i % row;
    const above = i >= row;
    const below = i < picture.length - row;
    const sum = across[i] + (above ? across[i - row] : 0) + (below ? across[i + row] : 0);
    const columns = 1 + (x >= 3 ? 1 : 0) + (x < row - 3 ? 1 : 0);
    const rows = 1 + (above ? 1 : 0) + (below ? 1 : 0);
    picture[i] += share * (sum / (rows * columns) - picture[i]);
  }
}

/** Mixes in the mean of the 2x2 block that each pixel lies in. */
function mixBlockMean(picture: Float32Array, size: number, share: number): void {
  const row = size * 3;
  for (let y = 0; y < size; y += 2) {
    for (let x = 0; x < row; x += 6) {
      for (let a = y * row + x; a < y * row + x + 3; a++) {
        const mean = (picture[a] + picture[a + 3] + picture[a + row] + picture[a + row + 3]) / 4;
        picture[a] += share * (mean - picture[a]);
        picture[a + 3] += share * (mean - picture[a + 3]);
        picture[a + row] += share * (mean - picture[a + row]);
        picture[a + row + 3] += share * (mean - picture[a + row + 3]);
      }
    }
  }
}

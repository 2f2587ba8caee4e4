// Shapes: B batch, H and W image sides, h and w sides of a feature map, C channels of a feature map.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, initConv2d, ShapeError, sumItems, type Conv2dParams, type Rng } from '@sgdiff/nn';
import { AutoencoderConfigError } from './config';
import { maxPool2x2 } from './max-pool';
import { rectify } from './rectifier';

export type LpipsConfig = {
  /** Channels of the five groups of convolutions; VGG16 has 64, 128, 256, 512, 512. */
  readonly widths: readonly [number, number, number, number, number];
};

/** VGG16: 14,716,160 weights in 13 convolutions and 5 heads. */
export const publishedLpipsConfig: LpipsConfig = { widths: [64, 128, 256, 512, 512] };

/** Convolutions of each group of VGG16. */
export const CONVOLUTIONS = [2, 2, 3, 3, 3] as const;

/** Weights of the perceptual distance; they are never trained here. `lpipsSource` says where each stands in published files. */
export type LpipsParams = {
  /** The convolutions of VGG16 in five groups, each 3×3 with bias; halved sides in between. */
  readonly groups: readonly (readonly Conv2dParams[])[];
  /** How much each channel of a group's last map counts; not negative in the published weights. */
  readonly heads: readonly { readonly weight: tf.Tensor4D /* [1, 1, C, 1] */ }[];
};

/** Five feature maps of unit length in each position. */
export type LpipsFeatures = readonly tf.Tensor4D[]; // [B, h, w, C]

/** Sides halve four times, and the last map needs a pixel. */
const SMALLEST_SIDE = 16;
const LENGTH_EPS = 1e-10;
/** What VGG16 was trained on: mean and deviation of the colours, for images in [-1, 1]. */
const SHIFT = [-0.03, -0.088, -0.188] as const;
const SCALE = [0.458, 0.448, 0.45] as const;

/**
 * Fresh weights, for tests and to measure time: the distance of an untrained network tells little about likeness.
 *
 * @throws AutoencoderConfigError if the widths are not five whole numbers.
 */
export function initLpips(config: LpipsConfig, rng: Rng): LpipsParams {
  checkLpipsConfig(config);
  const { widths } = config;
  return {
    groups: CONVOLUTIONS.map((count, g) =>
      Array.from({ length: count }, (_, i) =>
        // √6 keeps the variance through the rectifiers.
        initConv2d(3, i > 0 ? widths[g]! : (widths[g - 1] ?? 3), widths[g]!, rng.fork('group', g, i), { gain: Math.sqrt(6) }),
      ),
    ),
    heads: widths.map((width, g) => ({
      weight: tf.tidy(() => tf.abs(initConv2d(1, width, 1, rng.fork('head', g), { bias: false }).weight)),
    })),
  };
}

/**
 * Perceptual distance between images: how far apart their features in VGG16 are.
 *
 * @param images `[B, H, W, 3]`, float32, in [-1, 1], sides of at least 16.
 * @param others The same shape.
 * @returns `[B]`, at least 0 with heads that are not negative. Gradients flow to both images, never to the weights.
 *   The caller disposes it.
 * @throws ShapeError if the images are too small or unlike in shape.
 * @see arXiv:1801.03924, equation 1 (the linear variant over VGG).
 */
export function lpips(params: LpipsParams, images: tf.Tensor4D, others: tf.Tensor4D): tf.Tensor1D {
  expectImages('lpips', images);
  expectImages('lpips', others);
  const [shape, otherShape] = [images, others].map((batch) => `[${batch.shape.join(', ')}]`);
  if (shape !== otherShape) {
    throw new ShapeError(`lpips: expected two batches of one shape, received ${shape} and ${otherShape}.`);
  }
  return tf.tidy(() => lpipsBetween(params, lpipsFeatures(params, images), lpipsFeatures(params, others)));
}

/**
 * What `lpips` compares: features of VGG16 behind the last rectifier of each group, scaled to length 1 in each position.
 * For images that are compared more than once.
 *
 * @param images `[B, H, W, 3]`, float32, in [-1, 1], sides of at least 16.
 * @returns Five maps `[B, h, w, C]`. The caller disposes them.
 * @throws ShapeError if the images are too small.
 */
export function lpipsFeatures(params: LpipsParams, images: tf.Tensor4D): LpipsFeatures {
  expectImages('lpipsFeatures', images);
  return tf.tidy(() => {
    let h: tf.Tensor4D = tf.div(tf.sub(images, tf.tensor1d([...SHIFT])), tf.tensor1d([...SCALE]));
    return params.groups.map((group, g) => {
      if (g > 0) h = maxPool2x2(h); // both sides halve
      for (const conv of group) h = rectify(conv2d(conv, h, { frozen: true }));
      return unitLength(h);
    });
  });
}

/**
 * The distance of `lpips` from features: weighted squared differences, averaged over the positions, summed over the maps.
 *
 * @returns `[B]`. The caller disposes it.
 */
export function lpipsBetween(params: LpipsParams, features: LpipsFeatures, others: LpipsFeatures): tf.Tensor1D {
  return tf.tidy(() => {
    const distances = features.map((map, g) => {
      const [, h, w, C] = map.shape;
      const squares = tf.square(tf.sub(map, others[g]!));
      const weighted = tf.mul(squares, tf.reshape(params.heads[g]!.weight, [C]));
      return tf.div(sumItems(weighted), h * w); // [B]
    });
    return tf.addN(distances) as tf.Tensor1D;
  });
}

/** Each position's vector over its length; a vector of zeros stays one, with a finite gradient. */
function unitLength(x: tf.Tensor4D): tf.Tensor4D {
  const tiny = LENGTH_EPS ** 2; // lost beside any square that counts
  const length = tf.sqrt(tf.add(tf.sum(tf.square(x), 3, true), tiny)); // [B, h, w, 1]
  return tf.div(x, tf.add(length, LENGTH_EPS));
}

/** @throws AutoencoderConfigError if the widths are not five whole numbers. */
export function checkLpipsConfig({ widths }: LpipsConfig): void {
  if (widths.length !== CONVOLUTIONS.length || !widths.every((width) => Number.isInteger(width) && width > 0)) {
    throw new AutoencoderConfigError(
      `LpipsConfig: expected widths of ${CONVOLUTIONS.length} whole numbers above 0, received [${widths.join(', ')}].`,
    );
  }
}

function expectImages(where: string, { rank, shape }: tf.Tensor4D): void {
  const [, H, W, channels] = shape;
  if (rank !== 4 || channels !== 3 || H < SMALLEST_SIDE || W < SMALLEST_SIDE) {
    throw new ShapeError(
      `${where}: expected images of shape [B, H, W, 3] with sides of at least ${SMALLEST_SIDE}, received [${shape.join(', ')}].`,
    );
  }
}

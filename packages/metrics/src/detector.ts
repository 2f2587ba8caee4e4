// Shapes: B batch, S picture side in pixels, G = S / 4 cells per side, K categories, C channels.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  expectShape,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  spaceToDepth,
  upsampleNearest2x,
  type Conv2dParams,
  type NormParams,
  type Rng,
} from '@sgdiff/nn';
import { MetricsError } from './metrics-error';

export type DetectorConfig = {
  /** Names in the order of the heat-maps. */
  readonly categories: readonly string[];
  /** Side of the square pictures in pixels, a multiple of 16. */
  readonly size: number;
  /** Channels at 1/2, 1/4, 1/8 and 1/16 of the picture's side; multiples of `groups`. */
  readonly channels: readonly [number, number, number, number];
  readonly headChannels: number;
  /** Groups of the group norms. */
  readonly groups: number;
};

/** norm, SiLU, 3x3 conv, twice, plus the input. The second convolution starts at zero. */
export type DetectorBlockParams = {
  readonly norm1: NormParams;
  readonly conv1: Conv2dParams;
  readonly norm2: NormParams;
  readonly conv2: Conv2dParams;
};

/** Weights. The key path is the name in the checkpoint, e.g. `down.0.block.conv1.weight`. */
export type DetectorParams = {
  readonly stem: Conv2dParams; // 3x3, 12 + 2 -> channels[0] at S / 2
  readonly stemBlock: DetectorBlockParams;
  readonly down: readonly { readonly conv: Conv2dParams; readonly block: DetectorBlockParams }[]; // to S / 4, S / 8, S / 16
  readonly up: readonly { readonly conv: Conv2dParams; readonly block: DetectorBlockParams }[]; // to S / 8, S / 4
  readonly head: {
    readonly norm1: NormParams;
    readonly conv: Conv2dParams;
    readonly norm2: NormParams;
    readonly heatmap: Conv2dParams; // 1x1, headChannels -> K
    readonly box: Conv2dParams; // 1x1, headChannels -> 4 K
  };
};

export type DetectorOutput = {
  /** Logits of the heat-maps `[B, G, G, K]`. */
  readonly heatmaps: tf.Tensor4D;
  /** Distances from the cell's centre to the left, top, right and bottom side, in picture sides: `[B, G, G, 4 K]`, category-major. */
  readonly boxes: tf.Tensor4D;
};

/** Cell side in pixels. */
export const DETECTOR_STRIDE = 4;

const NORM_EPS = 1e-5;
/** Probability that a fresh detector gives to each cell: near the share of positive cells, so that the first steps are calm. */
const PRIOR = 0.01;

/** The settings meant for 64 px picture-book scenes: about 0.14 GFLOP per picture. */
export function defaultDetectorConfig(categories: readonly string[]): DetectorConfig {
  return { categories, size: 64, channels: [24, 48, 80, 96], headChannels: 64, groups: 8 };
}

/**
 * Fresh weights. Residual branches start as zero and the heat-maps at probability 0.01.
 *
 * @throws MetricsError if the config makes no sense.
 */
export function initDetector(config: DetectorConfig, rng: Rng): DetectorParams {
  checkDetectorConfig(config);
  const { channels, headChannels, categories } = config;
  const K = categories.length;
  const levels = [1, 2, 3] as const;
  const heatmap = initConv2d(1, headChannels, K, rng.fork('head', 'heatmap'));
  const prior = tf.tensor1d(new Array<number>(K).fill(Math.log(PRIOR / (1 - PRIOR))));
  heatmap.bias?.dispose();
  return {
    stem: initConv2d(3, 14, channels[0], rng.fork('stem')),
    stemBlock: initBlock(channels[0], rng.fork('stemBlock')),
    down: levels.map((level) => ({
      conv: initConv2d(3, channels[level - 1], channels[level], rng.fork('down', level, 'conv')),
      block: initBlock(channels[level], rng.fork('down', level, 'block')),
    })),
    up: ([2, 1] as const).map((level) => ({
      conv: initConv2d(1, channels[level + 1], channels[level], rng.fork('up', level, 'conv')),
      block: initBlock(channels[level], rng.fork('up', level, 'block')),
    })),
    head: {
      norm1: initGroupNorm(channels[1]),
      conv: initConv2d(3, channels[1], headChannels, rng.fork('head', 'conv')),
      norm2: initGroupNorm(headChannels),
      heatmap: { ...heatmap, bias: prior },
      box: initConv2d(1, headChannels, 4 * K, rng.fork('head', 'box')),
    },
  };
}

/**
 * Heat-maps and boxes of every category for each cell of 4x4 pixels: an hourglass of residual blocks on a 2x2
 * space-to-depth stem. The way down to 1/16 and back lets every cell see the whole picture, which background parts need.
 *
 * Boxes are per category (in CenterNet they are shared), since a sheep's centre can lie on that of its meadow.
 *
 * @param images `[B, S, S, 3]`, float32, in [-1, 1].
 * @returns Logits `[B, G, G, K]` and distances `[B, G, G, 4 K]`. The caller disposes both.
 * @throws ShapeError if `images` does not fit the config.
 * @see arXiv:1904.07850 (CenterNet), sections 3 and 4.
 */
export function detector(params: DetectorParams, config: DetectorConfig, images: tf.Tensor4D): DetectorOutput {
  const B = images.shape[0];
  const S = config.size;
  expectShape('detector', { images }, { images: [B, S, S, 3] });
  return tf.tidy(() => {
    const pixels = spaceToDepth(images, 2); // [B, S/2, S/2, 12]
    let h = conv2d(params.stem, tf.concat([pixels, coordinates(B, S / 2)], 3)); // [B, S/2, S/2, C0]
    h = residualBlock(params.stemBlock, h, config.groups);
    const skips: tf.Tensor4D[] = [];
    for (const { conv, block } of params.down) {
      h = conv2d(conv, h, { stride: 2, padding: { top: 1, bottom: 1, left: 1, right: 1 } }); // [B, S/2^(i+2), .., Ci]
      h = residualBlock(block, h, config.groups);
      skips.push(h);
    }
    skips.pop(); // the deepest level is h itself
    for (const { conv, block } of params.up) {
      h = tf.add(skips.pop()!, upsampleNearest2x(conv2d(conv, h))); // [B, 2x, 2x, Ci]
      h = residualBlock(block, h, config.groups);
    }
    const { head } = params;
    const norm = { groups: config.groups, eps: NORM_EPS };
    h = conv2d(head.conv, groupNormSilu(head.norm1, h, norm)); // [B, G, G, headChannels]
    h = groupNormSilu(head.norm2, h, norm);
    return { heatmaps: conv2d(head.heatmap, h), boxes: conv2d(head.box, h) }; // [B, G, G, K], [B, G, G, 4 K]
  });
}

/** Floating point operations (2 per multiply-add, convolutions only) of `detector` for one picture. */
export function detectorFlops(config: DetectorConfig): number {
  const [c0, c1, c2, c3] = config.channels;
  const K = config.categories.length;
  const cells = (shift: number) => (config.size >> shift) ** 2;
  const conv = (shift: number, kernel: number, inC: number, outC: number) =>
    2 * cells(shift) * kernel * kernel * inC * outC;
  const block = (shift: number, c: number) => 2 * conv(shift, 3, c, c);
  const down =
    conv(2, 3, c0, c1) + block(2, c1) + conv(3, 3, c1, c2) + block(3, c2) + conv(4, 3, c2, c3) + block(4, c3);
  const up = conv(4, 1, c3, c2) + block(3, c2) + conv(3, 1, c2, c1) + block(2, c1);
  const head = conv(2, 3, c1, config.headChannels) + conv(2, 1, config.headChannels, 5 * K);
  return conv(1, 3, 14, c0) + block(1, c0) + down + up + head;
}

/**
 * @throws MetricsError naming the setting that does not fit.
 */
export function checkDetectorConfig(config: DetectorConfig): void {
  const { categories, size, channels, headChannels, groups } = config;
  if (categories.length === 0) {
    throw new MetricsError('detector config: expected at least one category, received none. Pass the names to detect.');
  }
  const repeated = categories.find((name, i) => categories.indexOf(name) !== i);
  if (repeated !== undefined) {
    throw new MetricsError(`detector config: category "${repeated}" is listed twice. List each name once.`);
  }
  if (!Number.isInteger(size) || size < 16 || size % 16 !== 0) {
    throw new MetricsError(`detector config: expected size to be a positive multiple of 16, received ${size}.`);
  }
  const odd = [...channels, headChannels].find((c) => !Number.isInteger(c) || c < groups || c % groups !== 0);
  if (odd !== undefined) {
    throw new MetricsError(
      `detector config: expected channels to be multiples of groups (${groups}), received ${odd}.`,
    );
  }
}

function initBlock(channels: number, rng: Rng): DetectorBlockParams {
  return {
    norm1: initGroupNorm(channels),
    conv1: initConv2d(3, channels, channels, rng.fork('conv1')),
    norm2: initGroupNorm(channels),
    conv2: initConv2d(3, channels, channels, rng.fork('conv2'), { gain: 0 }),
  };
}

function residualBlock(params: DetectorBlockParams, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  const norm = { groups, eps: NORM_EPS };
  const h = conv2d(params.conv1, groupNormSilu(params.norm1, x, norm));
  return tf.add(x, conv2d(params.conv2, groupNormSilu(params.norm2, h, norm)));
}

/** Place of each pixel block, x then y in [-1, 1], so that a box can reach the picture's edge: `[B, side, side, 2]`. */
function coordinates(B: number, side: number): tf.Tensor4D {
  const data = new Float32Array(side * side * 2);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      data[(y * side + x) * 2] = (2 * x + 1) / side - 1;
      data[(y * side + x) * 2 + 1] = (2 * y + 1) / side - 1;
    }
  }
  return tf.tile(tf.tensor4d(data, [1, side, side, 2]), [B, 1, 1, 1]);
}

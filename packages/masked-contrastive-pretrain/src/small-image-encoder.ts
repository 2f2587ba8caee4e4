// Shapes: B batch, S image side, P = (S / 8)^2 tokens, C stem width, W token width, N narrow width, G global width.
import * as tf from '@tensorflow/tfjs-core';
import {
  conv2d,
  expectShape,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  initLinear,
  linear,
  silu,
  spaceToDepth,
  type Conv2dParams,
  type NormParams,
  type LinearParams,
  type Rng,
} from '@sgdiff/nn';
import { PretrainError } from './errors';

/** What an image encoder says about a batch of images. */
export type ImageEncoding = {
  /** One vector per 8x8-pixel patch (or whatever grid the encoder has), row-major: `[B, P, W]`. */
  readonly local: tf.Tensor3D;
  /** One vector per image, not normalised: `[B, G]`. */
  readonly global: tf.Tensor2D;
};

/** Any image encoder: images `[B, H, W, 3]` in [-1, 1] in; the caller disposes what comes out. */
export type ImageEncoder = (images: tf.Tensor4D) => ImageEncoding;

/** Sizes of the small image encoder. Plain JSON. */
export type SmallImageEncoderConfig = {
  /** Side S of the square images, a multiple of 8. */
  readonly imageSize: number;
  /** Width C at a quarter of the resolution. */
  readonly stemWidth: number;
  /** Residual blocks there. */
  readonly stemBlocks: number;
  /** Width W at an eighth of the resolution: the width of a local token. */
  readonly width: number;
  /** Residual blocks there. */
  readonly blocks: number;
  /** Width N to which each token is narrowed before all of them together enter the global vector. */
  readonly narrowWidth: number;
  /** Hidden width on the way to the global vector. */
  readonly hiddenWidth: number;
  /** Width G of the global vector; the graph encoder's. */
  readonly globalWidth: number;
  /** Groups of the group normalisations. */
  readonly groups: number;
};

/** Weights of a residual block: normalise, SiLU, 3x3 convolution, twice. */
export type ResidualBlockParams = {
  readonly norm1: NormParams;
  readonly conv1: Conv2dParams;
  readonly norm2: NormParams;
  readonly conv2: Conv2dParams;
};

/** Weights of the small image encoder. */
export type SmallImageEncoderParams = {
  readonly stem: Conv2dParams; // 4x4 pixels as 48 channels, 3x3 -> C
  readonly stemBlocks: readonly ResidualBlockParams[];
  readonly down: LinearParams; // 2x2 cells as 4C channels -> W
  readonly blocks: readonly ResidualBlockParams[];
  readonly norm: NormParams;
  readonly narrow: LinearParams; // W -> N
  readonly up: LinearParams; // P N + 2 W -> hidden
  readonly out: LinearParams; // hidden -> G
};

/** The picture-book image encoder: 64 px, 8x8 tokens, 0.56 M weights, 40 MFLOP per image. */
export function pictureBookImageEncoderConfig({ imageSize = 64, globalWidth = 128 } = {}): SmallImageEncoderConfig {
  return {
    imageSize,
    stemWidth: 32,
    stemBlocks: 1,
    width: 96,
    blocks: 1,
    narrowWidth: 16,
    hiddenWidth: 256,
    globalWidth,
    groups: 8,
  };
}

/** Fresh weights. */
export function initSmallImageEncoder(config: SmallImageEncoderConfig, rng: Rng): SmallImageEncoderParams {
  const { imageSize, stemWidth, width, groups } = config;
  if (!Number.isInteger(imageSize) || imageSize < 8 || imageSize % 8 !== 0) {
    throw new PretrainError(
      `initSmallImageEncoder: expected config.imageSize to be a multiple of 8, received ${String(imageSize)}.`,
      { code: 'invalid_config' },
    );
  }
  for (const [name, size] of [
    ['stemWidth', stemWidth],
    ['width', width],
  ] as const) {
    if (size % groups !== 0) {
      throw new PretrainError(
        `initSmallImageEncoder: expected config.${name} to be a multiple of config.groups ${groups}, received ${size}.`,
        { code: 'invalid_config' },
      );
    }
  }
  const tokens = (imageSize / 8) ** 2;
  const residualBlocks = (name: string, count: number, channels: number): ResidualBlockParams[] =>
    Array.from({ length: count }, (_, i) => initResidualBlock(channels, rng.fork(name, i)));
  return {
    stem: initConv2d(3, 48, stemWidth, rng.fork('stem')),
    stemBlocks: residualBlocks('stemBlocks', config.stemBlocks, stemWidth),
    down: initLinear(4 * stemWidth, width, rng.fork('down')),
    blocks: residualBlocks('blocks', config.blocks, width),
    norm: initGroupNorm(width),
    narrow: initLinear(width, config.narrowWidth, rng.fork('narrow')),
    up: initLinear(tokens * config.narrowWidth + 2 * width, config.hiddenWidth, rng.fork('up')),
    out: initLinear(config.hiddenWidth, config.globalWidth, rng.fork('out')),
  };
}

/**
 * Local tokens and global vector of images. The global vector sees the mean and the maximum of all tokens (what is
 * there) and a narrow copy of every token in its place (where it is), so that "left of" can be told from "right of".
 *
 * @param images `[B, S, S, 3]` in [-1, 1].
 * @returns `local` `[B, (S / 8)^2, W]` and `global` `[B, G]`. The caller disposes them.
 * @throws ShapeError if the images do not have the configured side.
 */
export function smallImageEncoder(
  params: SmallImageEncoderParams,
  config: SmallImageEncoderConfig,
  images: tf.Tensor4D,
): ImageEncoding {
  const { imageSize: S, width: W, groups } = config;
  const B = images.shape[0];
  expectShape('smallImageEncoder', { images }, { images: [B, S, S, 3] });
  const P = (S / 8) ** 2;
  return tf.tidy(() => {
    let x = conv2d(params.stem, spaceToDepth(images, 4) as tf.Tensor4D); // [B, S/4, S/4, C]
    for (const block of params.stemBlocks) x = residualBlock(block, x, groups);
    x = linear(params.down, spaceToDepth(x, 2)) as tf.Tensor4D; // [B, S/8, S/8, W]
    for (const block of params.blocks) x = residualBlock(block, x, groups);
    const local = tf.reshape(groupNormSilu(params.norm, x, { groups, eps: 1e-5 }), [B, P, W]) as tf.Tensor3D;
    const places = tf.reshape(linear(params.narrow, local), [B, P * config.narrowWidth]);
    const features = tf.concat([tf.mean(local, 1), maxOverTokens(local), places as tf.Tensor2D], -1);
    const global = linear(params.out, silu(linear(params.up, features))) as tf.Tensor2D;
    return { local, global };
  });
}

/**
 * Maximum over the tokens, `[B, P, W]` -> `[B, W]`. tfjs' own gradient compares with `equal`, which on wasm walks broadcast
 * tensors element by element (45 ms for 64x64x96); subtraction and `step` do not. Tied tokens each get the gradient.
 */
function maxOverTokens(x: tf.Tensor3D): tf.Tensor2D {
  const maximum = tf.customGrad((input, save) => {
    const tokens = input as tf.Tensor3D;
    const best = tf.max(tokens, 1, true); // [B, 1, W]
    (save as tf.GradSaveFunc)([tokens, best]);
    return {
      value: tf.squeeze(best, [1]),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
        tf.tidy(() => {
          const below = tf.step(tf.sub(saved[1]!, saved[0]!)); // 1 where smaller than the maximum
          return tf.mul(tf.sub(1, below), tf.expandDims(dy, 1));
        }),
    };
  });
  return maximum(x) as tf.Tensor2D;
}

function initResidualBlock(channels: number, rng: Rng): ResidualBlockParams {
  return {
    norm1: initGroupNorm(channels),
    conv1: initConv2d(3, channels, channels, rng.fork('conv1')),
    norm2: initGroupNorm(channels),
    conv2: initConv2d(3, channels, channels, rng.fork('conv2')),
  };
}

function residualBlock(params: ResidualBlockParams, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  return tf.tidy(() => {
    const h = conv2d(params.conv1, groupNormSilu(params.norm1, x, { groups, eps: 1e-5 }) as tf.Tensor4D);
    return tf.add(
      x,
      conv2d(params.conv2, groupNormSilu(params.norm2, h, { groups, eps: 1e-5 }) as tf.Tensor4D),
    ) as tf.Tensor4D;
  });
}

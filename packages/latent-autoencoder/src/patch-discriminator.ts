// Shapes: B batch, H and W image sides, h and w sides of the map of logits, C channels of a layer, N = B·height·width.
import * as tf from '@tensorflow/tfjs-core';
import { conv2d, groupNorm, initConv2d, ShapeError, type Conv2dParams, type NormParams, type Rng } from '@sgdiff/nn';
import { AutoencoderConfigError } from './config';
import { rectify } from './rectifier';

export type PatchDiscriminatorConfig = {
  /** Channels of an image; 3. */
  readonly imageChannels: number;
  /** Channels of the first layer; they double with each layer, up to eight times as many. */
  readonly channels: number;
  /** Convolutions that halve the sides. */
  readonly layers: number;
};

/** As vq-f8 was trained with: 663,361 weights, one logit per patch of 34×34 pixels. */
export const publishedPatchDiscriminatorConfig: PatchDiscriminatorConfig = { imageChannels: 3, channels: 64, layers: 2 };

/** Weights of the discriminator: 4×4 convolutions, a batch normalisation behind all but the first and the last. */
export type PatchDiscriminatorParams = {
  readonly convIn: Conv2dParams; // [4, 4, 3, C]
  readonly blocks: readonly { readonly conv: Conv2dParams /* without bias */; readonly norm: NormParams }[];
  readonly convOut: Conv2dParams; // [4, 4, C, 1]
};

/** Mean and variance of what each batch normalisation has seen, which take the batch's place outside training. */
export type RunningStatistics = { readonly mean: tf.Tensor1D; readonly variance: tf.Tensor1D }[];

export type Discriminated = {
  /** Real (above 0) or decoded, for each patch: `[B, h, w, 1]`. */
  readonly logits: tf.Tensor4D;
  /** In training moved towards this batch's, else as before. */
  readonly running: RunningStatistics;
};

const NORM_EPS = 1e-5;
/** Share of the new batch in the running statistics. */
const MOMENTUM = 0.1;
const SLOPE = 0.2;
const PADDING = { top: 1, bottom: 1, left: 1, right: 1 };
const DEVIATION = 0.02;

/**
 * Fresh weights: normal with deviation 0.02, around 1 for the scales of the normalisations.
 *
 * @throws AutoencoderConfigError if a size is no whole number above 0.
 */
export function initPatchDiscriminator(config: PatchDiscriminatorConfig, rng: Rng): PatchDiscriminatorParams {
  checkConfig(config);
  const { imageChannels, layers } = config;
  const conv = (inC: number, outC: number, name: string | number, bias: boolean): Conv2dParams => {
    const normal = normals([4, 4, inC, outC], 0, rng.fork('conv', name)) as tf.Tensor4D;
    if (!bias) return { weight: normal };
    const usual = initConv2d(4, inC, outC, rng.fork('bias', name)); // only weights are drawn anew
    usual.weight.dispose();
    return { weight: normal, bias: usual.bias! };
  };
  return {
    convIn: conv(imageChannels, widthOf(config, 0), 'in', true),
    blocks: Array.from({ length: layers }, (_, i) => {
      const [inC, outC] = [widthOf(config, i), widthOf(config, i + 1)];
      return {
        conv: conv(inC, outC, i, false),
        norm: { weight: normals([outC], 1, rng.fork('norm', i)) as tf.Tensor1D, bias: tf.zeros([outC]) },
      };
    }),
    convOut: conv(widthOf(config, layers), 1, 'out', true),
  };
}

/** Statistics of a discriminator that has seen nothing: mean 0, variance 1. The caller disposes them. */
export function initRunningStatistics(config: PatchDiscriminatorConfig): RunningStatistics {
  checkConfig(config);
  return Array.from({ length: config.layers }, (_, i) => {
    const width = widthOf(config, i + 1);
    return { mean: tf.zeros<tf.Rank.R1>([width]), variance: tf.ones<tf.Rank.R1>([width]) };
  });
}

/**
 * Tells patches of real images from patches of decoded ones.
 *
 * @param running Statistics so far. In training only the new ones depend on them, else the logits do.
 * @param images `[B, H, W, 3]`, float32, in [-1, 1].
 * @param options `training`: normalises by this batch, so that each logit depends on all of it. `frozen`: only the gradient for
 *   the images is wanted, which saves a third of the pass back.
 * @returns Logits and statistics. The caller disposes both.
 * @throws ShapeError if the images leave no patch or have other channels than the weights.
 * @see arXiv:1611.07004, appendix 6.1.2 (PatchGAN; there the patches are of 70×70 pixels).
 */
export function patchDiscriminator(
  params: PatchDiscriminatorParams,
  running: RunningStatistics,
  images: tf.Tensor4D,
  { training, frozen = false }: { readonly training: boolean; readonly frozen?: boolean },
): Discriminated {
  expectImages(params, images);
  return tf.tidy(() => {
    let h = rectify(conv2d(params.convIn, images, { stride: 2, padding: PADDING, frozen }), SLOPE); // [B, H/2, W/2, C]
    const next = params.blocks.map(({ conv, norm }, i) => {
      const stride = i < params.blocks.length - 1 ? 2 : 1;
      const x = conv2d(conv, h, { stride, padding: PADDING, frozen });
      const before = running[i]!;
      h = rectify(training ? normalizeByBatch(norm, x) : normalizeBy(norm, before, x), SLOPE);
      return training ? moved(before, x) : { mean: tf.clone(before.mean), variance: tf.clone(before.variance) };
    });
    return { logits: conv2d(params.convOut, h, { padding: PADDING, frozen }), running: next };
  });
}

/**
 * Batch normalisation by the batch's own statistics: one image with all positions of the batch, each channel a group.
 *
 * @see arXiv:1502.03167, algorithm 1.
 */
function normalizeByBatch(norm: NormParams, x: tf.Tensor4D): tf.Tensor4D {
  const [B, H, W, C] = x.shape;
  const all = tf.reshape(x, [1, B * H, W, C]) as tf.Tensor4D;
  return tf.reshape(groupNorm(norm, all, { groups: C, eps: NORM_EPS }), [B, H, W, C]);
}

function normalizeBy({ weight, bias }: NormParams, { mean, variance }: RunningStatistics[number], x: tf.Tensor4D): tf.Tensor4D {
  const scale = tf.mul(weight, tf.rsqrt(tf.add(variance, NORM_EPS))); // [C]
  return tf.add(tf.mul(x, scale), tf.sub(bias, tf.mul(mean, scale)));
}

/** The statistics a step nearer to those of a batch; the variance is the unbiased one, as in PyTorch. */
function moved({ mean, variance }: RunningStatistics[number], x: tf.Tensor4D): RunningStatistics[number] {
  const C = x.shape[3];
  const rows = tf.reshape(x, [-1, C]) as tf.Tensor2D; // [N, C]
  const N = rows.shape[0];
  // Sums as products: reductions of the first axis are slow in tfjs.
  const sum = (values: tf.Tensor2D): tf.Tensor1D => tf.reshape(tf.matMul(tf.ones<tf.Rank.R2>([1, N]), values), [C]);
  const ofBatch = tf.div(sum(rows), N) as tf.Tensor1D;
  const squares = sum(tf.square(tf.sub(rows, ofBatch)) as tf.Tensor2D);
  return {
    mean: mix(mean, ofBatch),
    variance: mix(variance, tf.div(squares, Math.max(1, N - 1)) as tf.Tensor1D),
  };
}

function mix(before: tf.Tensor1D, now: tf.Tensor1D): tf.Tensor1D {
  return tf.add(tf.mul(before, 1 - MOMENTUM), tf.mul(now, MOMENTUM)) as tf.Tensor1D;
}

/** Channels behind layer `i`, where 0 is the first convolution. */
function widthOf({ channels }: PatchDiscriminatorConfig, i: number): number {
  return channels * Math.min(2 ** i, 8);
}

function normals(shape: number[], mean: number, rng: Rng): tf.Tensor {
  const values = rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1)));
  return tf.tensor(values.map((value) => mean + DEVIATION * value), shape); // prettier-ignore
}

function checkConfig(config: PatchDiscriminatorConfig): void {
  for (const field of ['imageChannels', 'channels', 'layers'] as const) {
    if (!Number.isInteger(config[field]) || config[field] < 1) {
      throw new AutoencoderConfigError(
        `PatchDiscriminatorConfig: expected ${field} to be a whole number above 0, received ${config[field]}.`,
      );
    }
  }
}

function expectImages(params: PatchDiscriminatorParams, { rank, shape }: tf.Tensor4D): void {
  const channels = params.convIn.weight.shape[2];
  // Each halving wants an even rest, the two last convolutions take a pixel each.
  const smallest = 3 * 2 ** params.blocks.length;
  const [, H, W, C] = shape;
  if (rank !== 4 || C !== channels || H < smallest || W < smallest) {
    throw new ShapeError(
      `patchDiscriminator: expected images of shape [B, H, W, ${channels}] with sides of at least ${smallest}, received [${shape.join(', ')}].`,
    );
  }
}

import {
  pictureBookEncoderConfig,
  publishedSgEncoderConfig,
  type SgEncoderConfig,
  type SgEncoderWords,
} from '@sgdiff/sg-encoder';
import { clipVitB32Config } from './clip-image-encoder';
import type { ReconstructionConfig } from './reconstruction';
import { pictureBookImageEncoderConfig, type SmallImageEncoderConfig } from './small-image-encoder';

/** Everything that shapes pre-training. Plain JSON: it is stored beside the weights. */
export type PretrainConfig = {
  readonly encoder: SgEncoderConfig;
  /** The image encoder that is trained along; `null` where the caller brings another one. */
  readonly image: SmallImageEncoderConfig | null;
  /** Side of the square images in pixels. */
  readonly imageSize: number;
  /** The image encoder's local tokens: a grid, row-major, that divides the image evenly, and their width W. */
  readonly tokens: {
    readonly rows: number;
    readonly columns: number;
    readonly width: number;
    /**
     * Whether a token of the whole image (CLIP's class token) stands before the grid. It is rebuilt where any pixel of its
     * image is hidden; it has no pixels, so `target` must be `features`. Default `false`.
     */
    readonly classToken?: boolean;
  };
  /**
   * What the hidden places are rebuilt as. `pixels`: the hidden pixels themselves, a target that does not move and so
   * cannot collapse, for an image encoder in training. `features`: the image encoder's tokens of the whole image,
   * without gradient, as published; only for a frozen encoder.
   */
  readonly target: 'pixels' | 'features';
  readonly reconstruction: ReconstructionConfig;
  /** Probability with which each object is hidden. */
  readonly maskProbability: number;
  /** Share of the batch, in (0, 1], that is also encoded masked; its first items are taken. Published: 1. */
  readonly maskedShare: number;
  /** Weight of the masked loss beside the contrastive one. Published: 1. */
  readonly maskedWeight: number;
  /** Also hold every image against one contradicted graph per batch item. Our addition, default `false`. */
  readonly hardNegatives?: boolean;
};

/** Pre-training for picture-book: both encoders from scratch, pixels as target, the masked pass on a quarter of the batch. */
export function pictureBookPretrainConfig(words: SgEncoderWords, { imageSize = 64 } = {}): PretrainConfig {
  const encoder = pictureBookEncoderConfig(words);
  const image = pictureBookImageEncoderConfig({ imageSize, globalWidth: encoder.globalWidth });
  return {
    encoder,
    image,
    imageSize,
    tokens: { rows: imageSize / 8, columns: imageSize / 8, width: image.width },
    target: 'pixels',
    reconstruction: { heads: 4 },
    maskProbability: 0.3,
    maskedShare: 0.25,
    maskedWeight: 1,
    hardNegatives: false,
  };
}

/**
 * Pre-training as published: the graph encoder of the released weights against a frozen CLIP ViT-B/32, whose 50 tokens
 * are rebuilt. Its `imageEncoder` is `frozenImageEncoder` around `clipImageEncoder` with `local: 'mlp'`.
 *
 * `maskProbability` is what was meant: the published code hides a box in 4 draws of 5, `__image__` too, and so everything.
 */
export function publishedPretrainConfig(words: SgEncoderWords): PretrainConfig {
  const clip = clipVitB32Config;
  const side = clip.imageSize / clip.patchSize;
  return {
    encoder: { ...publishedSgEncoderConfig(words), logitScale: false }, // pre-training has its own
    image: null,
    imageSize: clip.imageSize,
    tokens: { rows: side, columns: side, width: clip.width, classToken: true },
    target: 'features',
    reconstruction: { heads: 8, innerWidth: 512, hiddenWidth: 3072 },
    maskProbability: 0.2,
    maskedShare: 1,
    maskedWeight: 1,
  };
}

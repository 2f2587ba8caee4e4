import { SgEncoderError } from './errors';

/** Sizes and form of the encoder. Plain JSON: it is stored beside the weights. */
export type SgEncoderConfig = {
  /** Object words, `__image__` included. The table has one spare row more, as published. */
  readonly objectCount: number;
  /** Predicate words, `__in_image__` included. */
  readonly predicateCount: number;
  /** Width D of node and predicate vectors; a local token has width 3D. */
  readonly width: number;
  /** Graph-triple-convolution layers in all (the published configuration calls 6 layers `layers: 5`). */
  readonly layers: number;
  /** Hidden width F of both MLPs of a layer. */
  readonly hiddenWidth: number;
  /** Width G of the global vector. */
  readonly globalWidth: number;
  /** Local tokens a graph may have, `__in_image__` triples included. */
  readonly maxTriples: number;
  /**
   * `layer`: layer normalisation of node and predicate vectors before every layer and after the last. Our addition;
   * the published stack has none and starts with features of standard deviation 0.015. Default `none`.
   */
  readonly norm?: 'none' | 'layer';
  /**
   * Each layer adds to its input, and its two MLPs lose their last ReLU (a sum of ReLUs could only grow).
   * Our addition. Default `false`.
   */
  readonly residual?: boolean;
  /**
   * A graph with more than `maxTriples` triples: `error` refuses it; `first`, as published, lets all triples take part
   * in the convolution and the global vector but makes local tokens of the first `maxTriples` only. Default `error`.
   */
  readonly overflow?: 'error' | 'first';
  /**
   * Whether the weights hold `logitScale`, the scale of the contrastive loss that the released files store with the
   * encoder. The encoder does not use it, so it has no gradient: leave it out for training. Default `false`.
   */
  readonly logitScale?: boolean;
};

/** A vocabulary's sizes: `{ objectCount: vocabulary.objects.length, predicateCount: vocabulary.predicates.length }`. */
export type SgEncoderWords = { readonly objectCount: number; readonly predicateCount: number };

/**
 * The published encoder: 512 wide, 6 layers, 15 local tokens, no normalisation, no residual; 53 tensors.
 * Visual Genome has 179 object and 46 predicate words (13,241,857 parameters), COCO 184 and 7 (13,224,449).
 *
 * @see arXiv:2211.11138, section 3.1; `graph_conv` is layer 0 and `graph_net` layers 1 to 5 of the released weights.
 */
export function publishedSgEncoderConfig({ objectCount, predicateCount }: SgEncoderWords): SgEncoderConfig {
  return {
    objectCount,
    predicateCount,
    width: 512,
    layers: 6,
    hiddenWidth: 512,
    globalWidth: 512,
    maxTriples: 15,
    norm: 'none',
    residual: false,
    overflow: 'first',
    logitScale: true,
  };
}

/** The encoder of the picture-book model: small, normalised, residual. Fresh training only. */
export function pictureBookEncoderConfig({ objectCount, predicateCount }: SgEncoderWords): SgEncoderConfig {
  return {
    objectCount,
    predicateCount,
    width: 96,
    layers: 3,
    hiddenWidth: 192,
    globalWidth: 128,
    maxTriples: 32,
    norm: 'layer',
    residual: true,
    overflow: 'error',
  };
}

/** @throws SgEncoderError `invalid_config` naming the first size that does not fit. */
export function checkConfig(config: SgEncoderConfig): void {
  const sizes = [
    'objectCount',
    'predicateCount',
    'width',
    'layers',
    'hiddenWidth',
    'globalWidth',
    'maxTriples',
  ] as const;
  for (const name of sizes) {
    const size = config[name];
    if (!Number.isInteger(size) || size < 1) {
      throw new SgEncoderError(
        `SgEncoderConfig: expected ${name} to be a whole number of at least 1, received ${String(size)}.`,
        { code: 'invalid_config' },
      );
    }
  }
  if (config.layers > MAX_LAYERS) {
    throw new SgEncoderError(
      `SgEncoderConfig: expected layers to be at most ${MAX_LAYERS}, received ${config.layers}.`,
      { code: 'invalid_config' },
    );
  }
}

/** Far more than anybody trains; a damaged file may say anything. */
const MAX_LAYERS = 1000;

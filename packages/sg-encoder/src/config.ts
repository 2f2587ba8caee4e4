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
};

/** A vocabulary's sizes: `{ objectCount: vocabulary.objects.length, predicateCount: vocabulary.predicates.length }`. */
export type SgEncoderWords = { readonly objectCount: number; readonly predicateCount: number };

/**
 * The published encoder: 512 wide, 6 layers, 15 local tokens, no normalisation, no residual.
 * Visual Genome has 179 object and 46 predicate words, COCO 184 and 7.
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

/**
 * Name and shape of every weight of `initSgEncoder(config)`, in its order, without making any.
 *
 * @returns Path to shape, e.g. `layers.0.triple.up.weight` to `[3D, F]`.
 */
export function sgEncoderShapes(config: SgEncoderConfig): Record<string, number[]> {
  const { width: D, hiddenWidth: F, globalWidth: G } = config;
  const shapes: Record<string, number[]> = {
    'objectEmbedding.weight': [config.objectCount + 1, D],
    'predicateEmbedding.weight': [config.predicateCount, D],
  };
  const addLinear = (path: string, inWidth: number, outWidth: number): void => {
    shapes[`${path}.weight`] = [inWidth, outWidth];
    shapes[`${path}.bias`] = [outWidth];
  };
  for (let i = 0; i < config.layers; i++) {
    addLinear(`layers.${i}.triple.up`, 3 * D, F);
    addLinear(`layers.${i}.triple.down`, F, 3 * D);
    addLinear(`layers.${i}.node.up`, D, F);
    addLinear(`layers.${i}.node.down`, F, D);
  }
  if (config.norm === 'layer') {
    for (const kind of ['nodeNorms', 'predicateNorms']) {
      for (let i = 0; i <= config.layers; i++) {
        shapes[`${kind}.${i}.weight`] = [D];
        shapes[`${kind}.${i}.bias`] = [D];
      }
    }
  }
  addLinear('projection', 2 * D, G);
  return shapes;
}

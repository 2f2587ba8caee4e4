/**
 * Sizes of the conditional U-Net. Without the optional fields this is the network of latent diffusion with SGDiff's
 * condition: one token per triple and one per graph (arXiv:2112.10752, section 3.3; arXiv:2211.11138).
 */
export type UnetConfig = {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Width of the finest level; the time embedding is four times as wide. */
  readonly modelChannels: number;
  /** Width of each level as a multiple of `modelChannels`; between two levels the sides halve. */
  readonly channelMults: readonly number[];
  /** Residual blocks per level on the way down; one more on the way up. */
  readonly numResBlocks: number;
  /**
   * Downsampling factors (1 = finest) whose residual blocks are followed by a transformer: self-attention,
   * cross-attention to the condition, feed-forward. May be empty; the middle always has one.
   */
  readonly attentionFactors: readonly number[];
  /** Factors whose transformers leave out self-attention, which is costly where there are many positions; none. */
  readonly crossOnlyFactors?: readonly number[];
  /** Channels per attention head; divides the width of every level with a transformer. */
  readonly headChannels: number;
  /** Transformer blocks in a row. */
  readonly transformerDepth: number;
  /** Hidden width of the feed-forward as a multiple of the level's width; 4. */
  readonly feedForwardMult?: number;
  /** Width of the tokens that cross-attention sees. */
  readonly contextWidth: number;
  /** Width of a local feature: three times the graph encoder's width. */
  readonly localWidth: number;
  /** Width of the global feature. It is a token as it is if equal to `contextWidth`, else through one linear layer. */
  readonly globalWidth: number;
  /** Whether the global feature is also added to the time embedding. The published model: false. */
  readonly globalInTime: boolean;
  /** Whether padded triples are hidden from attention. The published model: false, it attends to the padding. */
  readonly maskPadding: boolean;
  /** Whether there is a learned condition for "no graph", needed by `keep` and by guidance; false. */
  readonly nullToken?: boolean;
  /** Whether the tokens are layer-normalised, so that their scale does not depend on the encoder; false. */
  readonly contextNorm?: boolean;
  /** Groups of every GroupNorm; divides every width. */
  readonly groups: number;
};

/** The published SGDiff network for 32×32×4 latents: 395,771,140 parameters in 628 tensors. */
export const publishedUnetConfig: UnetConfig = {
  inChannels: 4,
  outChannels: 4,
  modelChannels: 256,
  channelMults: [1, 2, 4],
  numResBlocks: 2,
  attentionFactors: [4, 2, 1],
  headChannels: 32,
  transformerDepth: 1,
  contextWidth: 512,
  localWidth: 1536,
  globalWidth: 512,
  globalInTime: false,
  maskPadding: false,
  groups: 32,
};

/** The small network for picture-book: 16×16×4 latents, an encoder of width 96 and a global feature of 128. */
export const pictureBookUnetConfig: UnetConfig = {
  inChannels: 4,
  outChannels: 4,
  modelChannels: 48,
  channelMults: [1, 2, 3],
  numResBlocks: 1,
  attentionFactors: [2, 4],
  crossOnlyFactors: [],
  headChannels: 24,
  transformerDepth: 1,
  feedForwardMult: 2,
  contextWidth: 128,
  localWidth: 288,
  globalWidth: 128,
  globalInTime: true,
  maskPadding: true,
  nullToken: true,
  contextNorm: true,
  groups: 8,
};

/** Thrown for a config that describes no network. */
export class UnetConfigError extends Error {
  override readonly name = 'UnetConfigError';
}

/** Of levels, blocks and layers; far more than anybody trains, but a damaged file may say anything. */
const MAX_COUNT = 50;

/** @throws UnetConfigError naming the first field that does not fit. */
export function checkConfig(config: UnetConfig): void {
  const positive = {
    inChannels: config.inChannels,
    outChannels: config.outChannels,
    modelChannels: config.modelChannels,
    'channelMults.length': config.channelMults.length,
    numResBlocks: config.numResBlocks,
    headChannels: config.headChannels,
    transformerDepth: config.transformerDepth,
    contextWidth: config.contextWidth,
    localWidth: config.localWidth,
    globalWidth: config.globalWidth,
    groups: config.groups,
  };
  for (const [field, value] of Object.entries(positive)) {
    if (!Number.isInteger(value) || value < 1) {
      throw new UnetConfigError(`UnetConfig: expected ${field} to be a whole number above 0, received ${value}.`);
    }
  }
  for (const [field, value] of Object.entries({
    'channelMults.length': config.channelMults.length,
    numResBlocks: config.numResBlocks,
    transformerDepth: config.transformerDepth,
  })) {
    if (value > MAX_COUNT) {
      throw new UnetConfigError(`UnetConfig: expected ${field} to be at most ${MAX_COUNT}, received ${value}.`);
    }
  }
  config.channelMults.forEach((mult, level) => {
    const width = config.modelChannels * mult;
    if (!Number.isInteger(width) || width % config.groups !== 0) {
      throw new UnetConfigError(
        `UnetConfig: expected the width of level ${level} to be a multiple of groups (${config.groups}), received ${width}. ` +
          `Change modelChannels, channelMults or groups.`,
      );
    }
    const isLast = level === config.channelMults.length - 1;
    if ((config.attentionFactors.includes(2 ** level) || isLast) && width % config.headChannels !== 0) {
      throw new UnetConfigError(
        `UnetConfig: expected headChannels to divide the width of level ${level} (${width}), received ${config.headChannels}.`,
      );
    }
  });
  const factors = config.channelMults.map((_, level) => 2 ** level);
  for (const factor of config.attentionFactors) {
    if (!factors.includes(factor)) {
      throw new UnetConfigError(
        `UnetConfig: expected attentionFactors out of ${factors.join(', ')}, received ${factor}. ` +
          `They are downsampling factors, not sides.`,
      );
    }
  }
  for (const factor of config.crossOnlyFactors ?? []) {
    if (!config.attentionFactors.includes(factor)) {
      throw new UnetConfigError(
        `UnetConfig: expected crossOnlyFactors to be among attentionFactors (${config.attentionFactors.join(', ')}), received ${factor}.`,
      );
    }
  }
}

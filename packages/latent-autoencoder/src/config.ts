/**
 * Sizes of a vector-quantised image autoencoder. With `stem: 1` and the defaults of the optional fields this is the
 * first stage of latent diffusion (arXiv:2112.10752, appendix G; the VQGAN of arXiv:2012.09841).
 */
export type AutoencoderConfig = {
  /** Channels of an image; 3. */
  readonly imageChannels: number;
  /**
   * Side of the pixel blocks folded into channels before the first convolution and unfolded after the last one.
   * 1 is the published model; 2 or 4 drops the costly work at full resolution.
   */
  readonly stem: 1 | 2 | 4;
  readonly baseChannels: number;
  /** Width of each level as a multiple of `baseChannels`; between two levels the sides halve. */
  readonly channelMults: readonly number[];
  /** Residual blocks per encoder level. */
  readonly numResBlocks: number;
  /** Residual blocks per decoder level; `numResBlocks + 1` unless given. */
  readonly decoderResBlocks?: number;
  /** Levels (0 = finest) whose residual blocks are each followed by self-attention. */
  readonly attentionLevels: readonly number[];
  /** What lies between the coarsest level and the latents: block, attention, block unless given. */
  readonly middle?: 'attention' | 'blocks' | 'none';
  /** Channels between the two halves and the two 1×1 convolutions around the quantiser. */
  readonly zChannels: number;
  /** Channels of the latents. */
  readonly embedDim: number;
  /**
   * Codes per position: the channels are cut into so many equal parts, and each is replaced by a code of its own out of
   * the one codebook. 1 unless given. Two codes of 4 channels say as much as one of 8 from a codebook of the square size.
   */
  readonly codeGroups?: number;
  readonly codebookSize: number;
  /** Groups of every GroupNorm; divides every width. */
  readonly groups: number;
};

/** The published `vq-f8` model: 256×256×3 to 32×32×4, 16,384 codes, 67,717,295 parameters in 299 tensors. */
export const publishedVqF8Config: AutoencoderConfig = {
  imageChannels: 3,
  stem: 1,
  baseChannels: 128,
  channelMults: [1, 2, 2, 4],
  numResBlocks: 2,
  attentionLevels: [3],
  zChannels: 4,
  embedDim: 4,
  codebookSize: 16384,
  groups: 32,
};

/** The small model for picture-book: 64×64×3 to 16×16×4. */
export const pictureBookAutoencoderConfig: AutoencoderConfig = {
  imageChannels: 3,
  stem: 2,
  baseChannels: 32,
  channelMults: [1, 2],
  numResBlocks: 1,
  decoderResBlocks: 1,
  attentionLevels: [],
  middle: 'none',
  zChannels: 4,
  embedDim: 4,
  codebookSize: 2048,
  groups: 8,
};

/** Thrown for a config that describes no model. */
export class AutoencoderConfigError extends Error {
  override readonly name = 'AutoencoderConfigError';
}

/** Image side divided by latent side. */
export function downsamplingFactor(config: AutoencoderConfig): number {
  return config.stem * 2 ** (config.channelMults.length - 1);
}

/** Residual blocks per decoder level. */
export function decoderResBlocks(config: AutoencoderConfig): number {
  return config.decoderResBlocks ?? config.numResBlocks + 1;
}

/** Channels of one code. */
export function codeWidth(config: AutoencoderConfig): number {
  return config.embedDim / (config.codeGroups ?? 1);
}

/** Width of each level, finest first. */
export function levelWidths(config: AutoencoderConfig): number[] {
  return config.channelMults.map((mult) => config.baseChannels * mult);
}

/** Of levels and blocks; far more than anybody trains, but a damaged file may say anything. */
const MAX_COUNT = 50;

/** @throws AutoencoderConfigError naming the first field that does not fit. */
export function checkConfig(config: AutoencoderConfig): void {
  const positive = {
    imageChannels: config.imageChannels,
    baseChannels: config.baseChannels,
    numResBlocks: config.numResBlocks,
    decoderResBlocks: decoderResBlocks(config),
    zChannels: config.zChannels,
    embedDim: config.embedDim,
    codeGroups: config.codeGroups ?? 1,
    codebookSize: config.codebookSize,
    groups: config.groups,
    'channelMults.length': config.channelMults.length,
  };
  for (const [field, value] of Object.entries(positive)) {
    if (!Number.isInteger(value) || value < 1) {
      throw new AutoencoderConfigError(
        `AutoencoderConfig: expected ${field} to be a whole number above 0, received ${value}.`,
      );
    }
  }
  for (const field of ['numResBlocks', 'decoderResBlocks', 'channelMults.length'] as const) {
    if (positive[field] <= MAX_COUNT) continue;
    throw new AutoencoderConfigError(
      `AutoencoderConfig: expected ${field} to be at most ${MAX_COUNT}, received ${positive[field]}.`,
    );
  }
  if (!Number.isInteger(codeWidth(config))) {
    throw new AutoencoderConfigError(
      `AutoencoderConfig: expected codeGroups to divide embedDim (${config.embedDim}), received ${config.codeGroups}.`,
    );
  }
  if (![1, 2, 4].includes(config.stem)) {
    throw new AutoencoderConfigError(`AutoencoderConfig: expected stem to be 1, 2 or 4, received ${config.stem}.`);
  }
  for (const width of levelWidths(config)) {
    if (!Number.isInteger(width) || width % config.groups !== 0) {
      throw new AutoencoderConfigError(
        `AutoencoderConfig: expected every level's width to be a multiple of groups (${config.groups}), received ${width}. ` +
          `Change baseChannels, channelMults or groups.`,
      );
    }
  }
  for (const level of config.attentionLevels) {
    if (!Number.isInteger(level) || level < 0 || level >= config.channelMults.length) {
      throw new AutoencoderConfigError(
        `AutoencoderConfig: expected attentionLevels between 0 and ${config.channelMults.length - 1}, received ${level}.`,
      );
    }
  }
}

export {
  AutoencoderConfigError,
  codeWidth,
  downsamplingFactor,
  pictureBookAutoencoderConfig,
  publishedVqF8Config,
  type AutoencoderConfig,
} from './config';
export { decode, decodeIndices, decodeQuantized, encode, initAutoencoder, type AutoencoderParams } from './autoencoder';
export {
  lookUpCodes,
  nearestCodes,
  quantizationLoss,
  quantize,
  setCodebook,
  type Quantized,
  type QuantizerParams,
} from './quantizer';
export { autoencoderLoss, type AutoencoderLoss, type AutoencoderLossOptions } from './loss';
export { CodebookError, codebookFromLatents, codebookPerplexity, countCodes, restartDeadCodes } from './codebook';
export { latentScale, LatentStatisticsError, type LatentStatistics } from './latent-statistics';
export { autoencoderParameterCount, autoencoderTensors, publishedName } from './tensors';
export { autoencoderFlops, type AutoencoderFlops } from './flops';

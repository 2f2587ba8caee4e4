export {
  checkClipVisionConfig,
  clipImageEncoder,
  clipTokens,
  clipVitB32Config,
  initClipImageEncoder,
} from './clip-image-encoder';
export type {
  ClipImageEncoderOptions,
  ClipImageEncoderParams,
  ClipLayerParams,
  ClipVisionConfig,
} from './clip-image-encoder';
export { clipForm, clipSource, clipTensors, isOtherClipTensor } from './clip-tensors';
export type { ClipForm } from './clip-tensors';
export { pictureBookPretrainConfig, publishedPretrainConfig } from './config';
export type { PretrainConfig } from './config';
export { boundedLogitScale, contrastiveLoss, INITIAL_LOGIT_SCALE, MAX_LOGIT_SCALE, unitRows } from './contrastive';
export { PretrainError } from './errors';
export type { PretrainErrorCode } from './errors';
export { frozenImageEncoder } from './frozen-image-encoder';
export { contradictGraphs, OPPOSITE_PREDICATES, oppositeIndices } from './hard-negatives';
export { objectMasks, rasterizeBoxes, selectObjects } from './object-masks';
export type { ImageBoxes } from './object-masks';
export { patchify } from './patches';
export { initPretrain, initPretrainWith, pretrainDecayFilter, pretrainGradients, pretrainLoss } from './pretrain-loss';
export type { PretrainBatch, PretrainLoss, PretrainLossOptions, PretrainParams } from './pretrain-loss';
export { initReconstruction, initTransformerBlock, reconstruct, transformerBlock } from './reconstruction';
export type {
  ReconstructionConfig,
  ReconstructionParams,
  ReconstructionSizes,
  TransformerBlockParams,
} from './reconstruction';
export { resizeImages } from './resize-images';
export { retrieval } from './retrieval';
export type { Recall, Retrieval } from './retrieval';
export { initSmallImageEncoder, pictureBookImageEncoderConfig, smallImageEncoder } from './small-image-encoder';
export type {
  ImageEncoder,
  ImageEncoding,
  ResidualBlockParams,
  SmallImageEncoderConfig,
  SmallImageEncoderParams,
} from './small-image-encoder';

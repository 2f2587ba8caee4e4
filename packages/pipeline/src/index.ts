export { ModelError, RequestError, type ModelErrorCode } from './errors';
export { memorySource, missing, urlSource, type ModelSource } from './model-source';
export { DRAWING_FILES, MODEL_FORMAT, parseManifest, type ModelFile, type ModelManifest } from './manifest';
export { isSampler, networkCalls, requireSampler, SAMPLERS, usualEta, type SamplerName } from './samplers';
export { requireSigmaList, SIGMA_LISTS, type SigmaListName } from './sigma-lists';
export { requireSpacing, SPACINGS, type SpacingName } from './spacings';
export {
  createAttentionSums,
  pictureMaps,
  type AttentionMeans,
  type AttentionSums,
  type PictureMaps,
} from './attention-maps';
export { drawLatents, type DrawSettings, type LatentDrawer } from './draw-latents';
export { parseRecord, type EditStep, type RequestRecord } from './record';
export { loadPipeline, type LoadOptions } from './load';
export { readModelFile } from './model-files';
export {
  loadPart,
  parsePartManifest,
  PART_KINDS,
  partFile,
  type LoadedPart,
  type PartKind,
  type PartManifest,
} from './part';
export { loadModelWeights, loadWeights, type WeightsOptions } from './weights';
export {
  type EditOptions,
  type GenerateBatchOptions,
  type GenerateOptions,
  type OwnImage,
  type Picture,
  type PictureStep,
  type Pipeline,
  type RepeatOptions,
  type ReplayOptions,
} from './pipeline';
export { toRgba } from './pixels';

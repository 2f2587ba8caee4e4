export { ModelError, RequestError, type ModelErrorCode } from './errors';
export { memorySource, missing, urlSource, type ModelSource } from './model-source';
export { DRAWING_FILES, MODEL_FORMAT, parseManifest, type ModelFile, type ModelManifest } from './manifest';
export { isSampler, requireSampler, SAMPLERS, type SamplerName } from './samplers';
export { drawLatents, type DrawSettings, type LatentDrawer } from './draw-latents';
export { parseRecord, type RequestRecord } from './record';
export { loadModelWeights, loadPipeline, readModelFile } from './load';
export {
  type GenerateBatchOptions,
  type GenerateOptions,
  type Picture,
  type PictureStep,
  type Pipeline,
  type RepeatOptions,
} from './pipeline';
export { toRgba } from './pixels';

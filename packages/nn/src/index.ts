export {
  ShapeError,
  IndexError,
  CheckpointError,
  GradientError,
  DisposedError,
  KernelThreadsError,
  type CheckpointErrorDetails,
} from './errors';
export { expectShape } from './shapes';
export {
  type ParamTree,
  flattenParams,
  mapParams,
  restoreParams,
  treeFromPaths,
  expectTensors,
  countParams,
  disposeParams,
  cloneParams,
  toVariables,
} from './tree';
export { type Rng, type RngState, createRng, restoreRng } from './rng';
export { type LinearParams, type InitOptions, initLinear, linear } from './linear';
export { type Conv2dParams, type Conv2dOptions, type Padding, initConv2d, conv2d } from './conv2d';
export { type NormParams, type GroupNormOptions, initGroupNorm, groupNorm, groupNormSilu } from './group-norm';
export { type LayerNormOptions, initLayerNorm, layerNorm } from './layer-norm';
export { gatherRows, segmentMean } from './segments';
export { type EmbeddingParams, initEmbedding, embedding } from './embedding';
export { type GegluParams, silu, gelu, initGeglu, geglu } from './activations';
export {
  type AttentionParams,
  type AttentionWidths,
  type AttentionOptions,
  scaledDotProductAttention,
  initAttention,
  attention,
  attentionWeights,
} from './attention';
export { meanAll, sumAll, sumItems } from './sums';
export { timestepEmbedding } from './timestep-embedding';
export { upsampleNearest2x, spaceToDepth, depthToSpace } from './resample';
export { type Gradients, valueAndGrads, clipByGlobalNorm, firstNonFinite } from './gradients';
export { type AdamW, type AdamWOptions, type AdamWStepOptions, createAdamW } from './adamw';
export { type Ema, type EmaOptions, createEma } from './ema';
export { type HostAdamW, type HostAdamWStepOptions, createHostAdamW } from './host-adamw';
export { type HostEma, createHostEma } from './host-ema';
export { toFloat16, fromFloat16 } from './float16';
export {
  type SafeTensor,
  encodeSafetensors,
  decodeSafetensors,
  paramsToSafetensors,
  paramsFromSafetensors,
  toTensor,
} from './safetensors';
export { openSafetensors, type ByteSource } from './safetensors-file';
export { encodeSafetensorsHeader } from './safetensors-header';
export { streamSafetensors, type StreamedTensor } from './safetensors-stream';
export { type KernelThreads, startKernelThreads, kernelThreads } from './wasm/threads';
export { fromLayout, shapeInLayout } from './tensor-source';
export type { SourceLayout, StateDict, StoredDtype, TensorEntry, TensorSource } from './tensor-source';

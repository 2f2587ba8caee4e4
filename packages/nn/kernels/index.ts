// AssemblyScript, compiled by build.mjs into src/wasm/binary.ts. No globals, no data: the memory belongs to tfjs.
export { attend, attendGradient, attendGradientScratchBytes, attendScratchBytes } from './attention';
export {
  convolvePatches, patchesInputGradient, patchesScratchBytes, patchesWeightGradient, patchesWeightScratchBytes, sumParts,
} from './conv';
export {
  byChannelsScratchBytes, convolve, convolveByChannels, convolveScratchBytes, foldWeightGradient, tilesOfBlock,
  transformImage, transformImageScratchBytes, transformTurnedWeights, transformWeights, weightGradient,
} from './conv3x3';
export {
  byColumnsScratchBytes, multiply, multiplyByColumns, multiplyOverRows, multiplyScratchBytes, overRowsScratchBytes, packPanels, packTransposedPanels,
} from './multiply';
export { activationScratchBytes, gate, gateGradient, gelu, geluGradient, silu, siluGradient } from './activations';
export { groupNorm, groupNormGradient, groupNormItems, groupNormScratchBytes } from './group-norm';
export { layerNorm, layerNormGradient, layerNormParts } from './layer-norm';
export { adamW, blocksOf, movingAverage, scaleAll, squareSums } from './optimiser';
export { sumRows, sumRowsParts, upsample2x, upsample2xGradient } from './resample';
export { gatherRows, segmentItems, segmentSum } from './segments';

// nn with its layers replaced by plain operations of tfjs and tfjs' own gradients: the baseline. The build lets a second
// copy of the U-Net import it in place of @sgdiff/nn.
export * from '@sgdiff/nn';
export { geglu, gelu, silu } from './activations';
export { attention, scaledDotProductAttention } from './attention';
export { conv2d } from './conv2d';
export { linear } from './linear';
export { groupNorm, groupNormSilu, layerNorm } from './norm';
export { upsampleNearest2x } from './resample';
export { gatherRows, segmentMean } from './segments';

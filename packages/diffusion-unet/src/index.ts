export { pictureBookUnetConfig, publishedUnetConfig, UnetConfigError, type UnetConfig } from './config';
export { initUnet, unet, type UnetAttention, type UnetBlockParams, type UnetOptions, type UnetParams } from './unet';
export { type UnetCondition } from './condition';
export {
  diffusionLoss,
  minSnrWeight,
  type DiffusionBatch,
  type DiffusionLoss,
  type DiffusionLossOptions,
} from './loss';
export { publishedName, unetParameterCount, unetTensors } from './tensors';
export { unetFlops, type UnetFlopsSize } from './flops';

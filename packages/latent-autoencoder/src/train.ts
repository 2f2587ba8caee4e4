export { adaptiveWeight, generatorLoss, hingeDiscriminatorLoss } from './adversarial';
export { firstStageGradients, type FirstStageGradients, type FirstStageOptions } from './first-stage';
export {
  initLpips,
  lpips,
  lpipsBetween,
  lpipsFeatures,
  publishedLpipsConfig,
  type LpipsConfig,
  type LpipsFeatures,
  type LpipsParams,
} from './lpips';
export { lpipsSource, lpipsTensors } from './lpips-tensors';
export {
  initPatchDiscriminator,
  initRunningStatistics,
  patchDiscriminator,
  publishedPatchDiscriminatorConfig,
  type Discriminated,
  type PatchDiscriminatorConfig,
  type PatchDiscriminatorParams,
  type RunningStatistics,
} from './patch-discriminator';

export {
  modelPreset,
  PRESET_NAMES,
  PRESETS,
  type ModelParts,
  type ModelPreset,
  type PresetManifest,
  type PresetName,
} from './presets';
export { partSummary, partTensors, sizeOf, type PartSize } from './part-summary';
export type { InceptionConfig, PartConfigs } from './kinds';
export {
  IMPORT_KINDS,
  planImport,
  type IgnoredTensors,
  type ImportKind,
  type ImportOptions,
  type ImportPlan,
  type PartKind,
  type PlannedPart,
  type PlannedTensor,
} from './import-plan';
export { ImportError, type ImportErrorDetails } from './import-error';
export { PRECISIONS, readTensor, tensorBytes, type Precision } from './read-tensor';
export { readTrainingFacts } from './training-facts';
export { type PlannedWords, type WordsVariant } from './words';

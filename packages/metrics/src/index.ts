export { MetricsError } from './metrics-error';
export { boxIou, type Detection, type LabelledBox } from './detection';
export {
  checkDetectorConfig,
  defaultDetectorConfig,
  detector,
  detectorFlops,
  DETECTOR_STRIDE,
  initDetector,
  type DetectorConfig,
  type DetectorOutput,
  type DetectorParams,
} from './detector';
export {
  detectorLoss,
  detectorTargets,
  focalLoss,
  type DetectorLoss,
  type DetectorLossOptions,
  type DetectorTargets,
} from './detector-loss';
export { decodeDetections, detect, type DecodeOptions, type DetectionThresholds } from './decode-detections';
export { degradeImages, type DegradeOptions } from './degrade-images';
export {
  calibrateThresholds,
  toThresholds,
  type CalibrationOptions,
  type CategoryCalibration,
} from './calibrate-thresholds';
export {
  compliance,
  complianceReport,
  derangement,
  scoreCompliance,
  type Compliance,
  type ComplianceReport,
  type ComplianceScore,
  type RelationRule,
  type Share,
} from './compliance';
export { frechetDistance } from './frechet-distance';
export {
  createFeatureAccumulator,
  featureStatistics,
  type FeatureAccumulator,
  type FeatureStatistics,
} from './feature-statistics';
export { inceptionScore, type InceptionScore, type RowMatrix } from './inception-score';
export { inceptionFeatures, type InceptionFeatures, type InceptionOptions } from './inception/inception';
export { foldInception, type InceptionNetwork } from './inception/fold';
export { initInception, type BatchNormParams, type ConvNormParams, type InceptionParams } from './inception/params';
export { inceptionSource, inceptionTensors, isInceptionExtra } from './inception/tensors';
export { resizeForInception } from './inception/resize';

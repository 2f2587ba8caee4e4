export { blobSource, bytesSource, type ByteSource } from './byte-source';
export { TorchFileError, type TorchFileErrorCode, type TorchFileErrorDetails } from './errors';
export { DEFAULT_LIMITS, type Limits } from './limits';
export {
  openTorchFile,
  type OpenTorchFileOptions,
  type TorchDtype,
  type TorchFile,
  type TorchTensorInfo,
} from './torch-file';
export { PickleGlobal, PickleObject, PickleStorage, PickleTensor, type PickleValue } from './values';

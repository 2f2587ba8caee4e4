export { startBackend, type BackendRequest } from './start-backend';
export { BACKENDS, type BackendChoice, type BackendName, type StartedBackend } from './choice';
export { startCpu } from './cpu';
export { startTensorflow, type TensorflowRequest } from './tensorflow';
export { startWasm, type WasmRequest } from './wasm';
export { startWebgpu, webgpuAdapters, type WebgpuAdapter, type WebgpuRequest } from './webgpu';
export { BackendError, type BackendErrorCode } from './errors';

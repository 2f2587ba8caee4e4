// AssemblyScript, compiled by build.mjs into src/wasm/binary.ts. No globals, no data: the memory belongs to tfjs.
export { convolve, scratchBytes, transformTurnedWeights, transformWeights, weightGradient } from './conv3x3';
export { multiply, multiplyOverRows, multiplyScratchBytes, multiplyTransposed } from './multiply';

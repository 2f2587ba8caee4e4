export { backendProblem, setupBackend, type TestBackend } from './backend';
export { CHROMIUM_FLAGS, findChromium, SWIFTSHADER_FLAGS } from './chromium';
export { describeDifference, type Tolerance } from './all-close';
export { expectNoLeak, type NoLeakOptions } from './leaks';
export { checkGradients, type CheckGradientsOptions } from './gradients';
export { readGolden } from './golden';
export { seededTensors, seededUniform, seededWeights, type SeededEntry } from './seeded-weights';

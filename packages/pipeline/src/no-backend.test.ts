import { expect, it } from 'vitest';
import { loadPipeline, memorySource } from './index';

it('asks for a backend where the app has brought none', async () => {
  await expect(loadPipeline(memorySource('tiny', {}))).rejects.toMatchObject({
    name: 'RequestError',
    message:
      'loadPipeline: expected a TensorFlow.js backend, received none (No backend found in registry). ' +
      "Import one in the app, e.g. '@tensorflow/tfjs-backend-wasm', in a browser with its setWasmPaths.",
  });
});

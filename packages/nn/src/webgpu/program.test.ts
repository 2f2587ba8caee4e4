import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendProblem, setupBackend } from '@sgdiff/test-kit';
import { attention, conv2d, createRng, groupNormSilu, initAttention, initConv2d, initGroupNorm, valueAndGrads } from '../index';
import { runKernel, type WebgpuBackend, type WebgpuKernel } from './backend';
import { type Program, runProgram } from './program';
import { webgpuSinusoids } from './sinusoids';

const problem = await backendProblem('webgpu');

describe.skipIf(problem)(`programs on webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(() => setupBackend('webgpu'));

  it('run in any number of workgroups, and are compiled once', async () => {
    let compiled = 0;
    const kernel: WebgpuKernel<object> = (backend) => {
      const [first, second] = [0, 1].map(() => backend.makeTensorInfo([23], 'float32')) as [tf.TensorInfo, tf.TensorInfo];
      const narrow = withLimit(backend, 5, () => compiled++);
      for (const [output, factor] of [[first, 2], [second, 0.5]] as const) {
        runProgram(narrow, NUMBERS, { outputs: [output], inputs: [], uniforms: { offset: 7, factor }, workgroups: 23 });
      }
      return [first, second];
    };
    const [first, second] = runKernel('TestNumbers', kernel, {}, {}) as [tf.Tensor, tf.Tensor];
    expect(await first.data()).toEqual(Float32Array.from({ length: 23 }, (_, i) => (i + 7) * 2));
    expect(await second.data()).toEqual(Float32Array.from({ length: 23 }, (_, i) => (i + 7) / 2));
    expect(compiled).toBe(1);
    tf.dispose([first, second]);
  });

  it('leave no memory in use, however often they run', async () => {
    const rng = createRng('memory');
    const widths = { queryWidth: 8, contextWidth: 8, innerWidth: 8, outWidth: 8 };
    const params = { conv: initConv2d(3, 4, 8, rng), norm: initGroupNorm(8), attention: initAttention(widths, rng) };
    const x = tf.tensor4d(rng.fillNormal(new Float32Array(2 * 12 * 12 * 4)), [2, 12, 12, 4]);
    const step = async (): Promise<object> => {
      const { value, grads } = tf.tidy(() =>
        valueAndGrads(() => {
          const h = groupNormSilu(params.norm, conv2d(params.conv, x, { stride: 2 }), { groups: 2 }); // [2, 6, 6, 8]
          const tokens = tf.reshape(h, [2, 36, 8]) as tf.Tensor3D;
          return tf.mean(tf.square(attention(params.attention, tokens, tokens, { heads: 2 })));
        }, params),
      );
      await value.data();
      tf.dispose([value, grads]);
      const { numTensors, numDataBuffers, numBytesInGPU } = tf.memory() as tf.MemoryInfo & { numBytesInGPU: number };
      return { numTensors, numDataBuffers, numBytesInGPU };
    };
    await step();
    const before = await step();
    for (let i = 0; i < 3; i++) expect(await step()).toEqual(before);
    tf.dispose([params, x]);
  });

  it('take exact sines and cosines of large angles', async () => {
    const angles = Float32Array.from({ length: 300 }, (_, i) => (i - 30) * 3.7 + i ** 1.6);
    const x = tf.tensor2d(angles, [3, 100]);
    const y = webgpuSinusoids(x);
    const expected = [0, 1, 2].flatMap((row) => {
      const own = [...angles.subarray(row * 100, (row + 1) * 100)];
      return [...own.map(Math.cos), ...own.map(Math.sin)];
    });
    expect(await y.data()).toBeAllClose(expected, { rtol: 0, atol: 1e-6 });
    tf.dispose([x, y]);
  });
});

const NUMBERS: Program = {
  name: 'TestNumbers',
  threads: 1,
  outputs: { y: 'f32' },
  inputs: {},
  uniforms: ['offset'],
  floatUniforms: ['factor'],
  code: 'fn run(workgroup: i32, thread: i32) { y[workgroup] = f32(workgroup + uniforms.offset) * uniforms.factor; }',
};

/** The backend on a device that takes few workgroups in a dimension. */
function withLimit(backend: WebgpuBackend, maxComputeWorkgroupsPerDimension: number, onCompile: () => void): WebgpuBackend {
  const { device } = backend;
  return {
    device: {
      limits: { maxComputeWorkgroupsPerDimension },
      createShaderModule: (descriptor) => device.createShaderModule(descriptor),
      createComputePipeline(descriptor) {
        onCompile();
        return device.createComputePipeline(descriptor);
      },
    },
    makeTensorInfo: (shape, dtype) => backend.makeTensorInfo(shape, dtype),
    uploadToGPU: (dataId) => backend.uploadToGPU(dataId),
    recordAndSubmit: (...args) => backend.recordAndSubmit(...args),
    disposeData: (dataId) => backend.disposeData(dataId),
  };
}

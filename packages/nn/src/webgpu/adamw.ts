import type * as tf from '@tensorflow/tfjs-core';
import type { AdamWSettings } from '../adamw';
import { runKernel, type WebgpuKernel } from './backend';
import { type Program, runProgram } from './program';

const KERNEL = 'SgdiffAdamW';
const THREADS = 64;

/**
 * A step of AdamW over vectors `[N]` of weights, gradients, moments and decays, in one pass. No gradient.
 *
 * @returns New first and second moments and weights. The caller disposes them.
 * @see arXiv:1711.05101, algorithm 2
 */
export function webgpuAdamW(
  p: tf.Tensor1D,
  g: tf.Tensor1D,
  m: tf.Tensor1D,
  v: tf.Tensor1D,
  decay: tf.Tensor1D,
  settings: AdamWSettings,
): [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D] {
  const outputs: tf.Tensor[] = runKernel(KERNEL, kernel, { p, g, m, v, decay }, settings);
  return outputs as [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D];
}

const kernel: WebgpuKernel<AdamWSettings> = (backend, inputs, { beta1, beta2, eps, rate, step }) => {
  const { p, g, m, v, decay } = inputs as Record<'p' | 'g' | 'm' | 'v' | 'decay', tf.TensorInfo>;
  const size = p.shape[0]!;
  const outputs = [0, 1, 2].map(() => backend.makeTensorInfo([size], 'float32'));
  runProgram(backend, PROGRAM, {
    outputs,
    inputs: [p, g, m, v, decay],
    uniforms: {
      size,
      beta1,
      beta2,
      // 1 - beta in float32 would be coarse.
      rest1: 1 - beta1,
      rest2: 1 - beta2,
      eps,
      rate,
      size1: rate / (1 - beta1 ** step),
      scale2: 1 / Math.sqrt(1 - beta2 ** step),
    },
    workgroups: Math.ceil(size / THREADS),
  });
  return outputs;
};

const PROGRAM: Program = {
  name: KERNEL,
  threads: THREADS,
  outputs: { m1: 'f32', v1: 'f32', p1: 'f32' },
  inputs: { p: 'f32', g: 'f32', m: 'f32', v: 'f32', decay: 'f32' },
  uniforms: ['size'],
  floatUniforms: ['beta1', 'beta2', 'rest1', 'rest2', 'eps', 'rate', 'size1', 'scale2'],
  code: `
fn run(workgroup: i32, thread: i32) {
  let i = workgroup * ${THREADS} + thread;
  if (i >= uniforms.size) { return; }
  let slope = g[i];
  let first = m[i] * uniforms.beta1 + slope * uniforms.rest1;
  let second = v[i] * uniforms.beta2 + slope * slope * uniforms.rest2;
  m1[i] = first;
  v1[i] = second;
  let weight = p[i];
  p1[i] = weight - weight * decay[i] * uniforms.rate - first / (sqrt(second) * uniforms.scale2 + uniforms.eps) * uniforms.size1;
}`,
};

// Shapes: N rows, D width.
import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { totalOver } from './group-norm';
import { type Program, runProgram } from './program';

const KERNEL = 'SgdiffLayerNorm';

/** Threads of a row. */
const THREADS = 64;

/** Layer normalisation of `x` `[..., D]`; mean and 1 / sqrt(variance + eps) `[N]`. No gradient. The caller disposes the tensors. */
export function webgpuLayerNorm(
  x: tf.Tensor,
  weight: tf.Tensor1D,
  bias: tf.Tensor1D,
  eps: number,
): { y: tf.Tensor; mean: tf.Tensor1D; rstd: tf.Tensor1D } {
  const [y, mean, rstd] = runKernel(KERNEL, kernel, { x, weight, bias }, { eps });
  return { y: y!, mean: mean as tf.Tensor1D, rstd: rstd as tf.Tensor1D };
}

const kernel: WebgpuKernel<{ readonly eps: number }> = (backend, { x, weight, bias }, { eps }) => {
  const { N, D } = rowsOf(x!);
  const y = backend.makeTensorInfo(x!.shape, 'float32');
  const [mean, rstd] = [backend.makeTensorInfo([N], 'float32'), backend.makeTensorInfo([N], 'float32')];
  runProgram(backend, PROGRAM, {
    outputs: [y, mean, rstd],
    inputs: [x!, weight!, bias!],
    uniforms: { D, eps },
    workgroups: N,
  });
  return [y, mean, rstd];
};

export function rowsOf({ shape }: tf.TensorInfo): { N: number; D: number } {
  return { N: shape.slice(0, -1).reduce((a, b) => a * b, 1), D: shape[shape.length - 1]! };
}

const PROGRAM: Program = {
  name: KERNEL,
  threads: THREADS,
  outputs: { y: 'f32', mean: 'f32', rstd: 'f32' },
  inputs: { x: 'f32', weight: 'f32', bias: 'f32' },
  uniforms: ['D'],
  floatUniforms: ['eps'],
  code: `
${totalOver(THREADS)}

fn run(workgroup: i32, thread: i32) {
  let start = workgroup * uniforms.D;
  let width = f32(uniforms.D);
  var sum = 0.0;
  for (var i = thread; i < uniforms.D; i += ${THREADS}) { sum += x[start + i]; }
  let center = total(thread, sum) / width;
  sum = 0.0;
  for (var i = thread; i < uniforms.D; i += ${THREADS}) {
    let off = x[start + i] - center;
    sum += off * off;
  }
  let scale = 1 / sqrt(total(thread, sum) / width + uniforms.eps);
  for (var i = thread; i < uniforms.D; i += ${THREADS}) {
    y[start + i] = (x[start + i] - center) * scale * weight[i] + bias[i];
  }
  if (thread == 0) {
    mean[workgroup] = center;
    rstd[workgroup] = scale;
  }
}`,
};

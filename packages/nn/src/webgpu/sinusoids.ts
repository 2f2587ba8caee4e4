import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { type Program, runProgram } from './program';

const KERNEL = 'SgdiffSinusoids';

/**
 * Cosines, then sines, exact to some 1e-7: WebGPU leaves its own an error of 5e-4, and any error beyond half a turn. No gradient.
 *
 * @param angles `[B, N]`, in radians, up to some 10,000.
 * @returns `[B, 2 N]`. The caller disposes it.
 */
export function webgpuSinusoids(angles: tf.Tensor2D): tf.Tensor2D {
  return runKernel(KERNEL, kernel, { angles }, {})[0] as tf.Tensor2D;
}

const kernel: WebgpuKernel<object> = (backend, { angles }) => {
  const [B, N] = angles!.shape as [number, number];
  const y = backend.makeTensorInfo([B, 2 * N], 'float32');
  runProgram(backend, PROGRAM, {
    outputs: [y],
    inputs: [angles!],
    uniforms: { N, size: B * N },
    workgroups: Math.ceil((B * N) / 64),
  });
  return [y];
};

// Less whole quarters of a turn, whose length is the sum of two numbers: the first has few digits, so that its multiples are
// exact. Then Taylor's series, on ±π/4.
const PROGRAM: Program = {
  name: KERNEL,
  threads: 64,
  outputs: { y: 'f32' },
  inputs: { angles: 'f32' },
  uniforms: ['N', 'size'],
  code: `
fn run(workgroup: i32, thread: i32) {
  let index = workgroup * 64 + thread;
  if (index >= uniforms.size) { return; }
  let angle = angles[index];
  let quarters = round(angle * ${2 / Math.PI});
  let r = (angle - quarters * 1.5703125) - quarters * ${Math.PI / 2 - 1.5703125};
  let z = r * r;
  let s = r + r * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z / 362880)));
  let c = 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z / 40320)));
  let turn = i32(quarters) & 3;
  let swapped = select(vec2<f32>(c, s), vec2<f32>(-s, c), (turn & 1) == 1);
  let at = index / uniforms.N * 2 * uniforms.N + index % uniforms.N;
  let value = select(swapped, -swapped, turn > 1);
  y[at] = value.x;
  y[at + uniforms.N] = value.y;
}`,
};

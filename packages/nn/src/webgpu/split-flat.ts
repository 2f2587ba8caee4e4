import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuKernel } from './backend';
import { type Program, runProgram } from './program';

const KERNEL = 'SgdiffSplitFlat';

/** Pieces of a dispatch: a program has 8 buffers. */
const PIECES = 7;
const THREADS = 64;

/** Pieces of a vector, in order: seven at a time, where tfjs takes a program for each. No gradient. The caller disposes them. */
export function webgpuSplitFlat(x: tf.Tensor1D, sizes: readonly number[]): tf.Tensor1D[] {
  return runKernel(KERNEL, kernel, { x }, { sizes }) as tf.Tensor1D[];
}

const kernel: WebgpuKernel<{ readonly sizes: readonly number[] }> = (backend, { x }, { sizes }) => {
  const pieces = sizes.map((size) => backend.makeTensorInfo([size], 'float32'));
  let start = 0;
  for (let first = 0; first < pieces.length; first += PIECES) {
    const outputs = pieces.slice(first, first + PIECES);
    const uniforms: Record<string, number> = { start };
    let end = 0;
    outputs.forEach(({ shape: [size] }, i) => (uniforms[`end${i}`] = end += size!));
    runProgram(backend, program(outputs.length), { outputs, inputs: [x!], uniforms, workgroups: Math.ceil(end / THREADS) });
    start += end;
  }
  return pieces;
};

function program(count: number): Program {
  const pieces = Array.from({ length: count }, (_, i) => i);
  return {
    name: `${KERNEL} ${count}`,
    threads: THREADS,
    outputs: Object.fromEntries(pieces.map((i) => [`piece${i}`, 'f32'])),
    inputs: { x: 'f32' },
    uniforms: ['start', ...pieces.map((i) => `end${i}`)],
    code: `
fn run(workgroup: i32, thread: i32) {
  let index = workgroup * ${THREADS} + thread;
  let value = x[uniforms.start + index];
  ${pieces
    .map((i) => `if (index < uniforms.end${i}) { piece${i}[index${i === 0 ? '' : ` - uniforms.end${i - 1}`}] = value; }`)
    .join(' else ')}
}`,
  };
}

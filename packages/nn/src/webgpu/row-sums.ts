import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuBackend, type WebgpuKernel } from './backend';
import { partsOf } from './parts';
import { type Program, runProgram } from './program';

const KERNEL = 'SgdiffSumRows';

/** Columns of a workgroup, and lines of threads that share the rows. */
const COLUMNS = 32;
const LINES = 8;

/** Sum over the rows, `[N, O]` -> `[O]`. No gradient. The caller disposes it. */
export function webgpuSumRows(x: tf.Tensor2D): tf.Tensor1D {
  return runKernel(KERNEL, kernel, { x }, {})[0] as tf.Tensor1D;
}

const kernel: WebgpuKernel<object> = (backend, { x }) => {
  const [N, O] = x!.shape as [number, number];
  return sumRows(backend, [x!], N, O);
};

/** Sums over the rows of one or two matrices of a size, `[N, O]` -> `[O]` each: in shares first where there are many rows. */
export function sumRows(backend: WebgpuBackend, matrices: readonly tf.TensorInfo[], N: number, O: number): tf.TensorInfo[] {
  const tiles = Math.ceil(O / COLUMNS);
  const { span, parts } = partsOf(N, tiles, 2);
  const sums = matrices.map(() => backend.makeTensorInfo(parts === 1 ? [O] : [parts, O], 'float32'));
  runProgram(backend, program(matrices.length), {
    outputs: sums,
    inputs: matrices,
    uniforms: { N, O, span, tiles },
    workgroups: tiles * parts,
  });
  if (parts === 1) return sums;
  const totals = sumRows(backend, sums, parts, O);
  for (const { dataId } of sums) backend.disposeData(dataId);
  return totals;
}

function program(count: number): Program {
  const all = Array.from({ length: count }, (_, i) => i);
  const each = (code: (i: number) => string): string => all.map(code).join(' ');
  return {
    name: `SgdiffSumRows ${count}`,
    threads: COLUMNS * LINES,
    outputs: Object.fromEntries(all.map((i) => [`sums${i}`, 'f32'])),
    inputs: Object.fromEntries(all.map((i) => [`x${i}`, 'f32'])),
    uniforms: ['N', 'O', 'span', 'tiles'],
    code: `
${sumOverLines(count)}

fn run(workgroup: i32, thread: i32) {
  let column = (workgroup % uniforms.tiles) * ${COLUMNS} + thread % ${COLUMNS};
  let part = workgroup / uniforms.tiles;
  var sum: array<f32, ${count}>;
  if (column < uniforms.O) {
    for (var row = part * uniforms.span + thread / ${COLUMNS}; row < min((part + 1) * uniforms.span, uniforms.N); row += ${LINES}) {
      ${each((i) => `sum[${i}] += x${i}[row * uniforms.O + column];`)}
    }
  }
  sum = sumOverLines(thread, sum);
  if (thread < ${COLUMNS} && column < uniforms.O) { ${each((i) => `sums${i}[part * uniforms.O + column] = sum[${i}];`)} }
}`,
  };
}

/** `sumOverLines(thread, values)`, for 32 columns and 8 lines of threads: in the first line, the sums of the columns. */
export function sumOverLines(count: number): string {
  return `
var<workgroup> ofThreads: array<array<f32, ${count}>, ${COLUMNS * LINES}>;

fn sumOverLines(thread: i32, values: array<f32, ${count}>) -> array<f32, ${count}> {
  ofThreads[thread] = values;
  workgroupBarrier();
  var sum = values;
  if (thread < ${COLUMNS}) {
    for (var line = 1; line < ${LINES}; line++) {
      for (var i = 0; i < ${count}; i++) { sum[i] += ofThreads[line * ${COLUMNS} + thread][i]; }
    }
  }
  return sum;
}`;
}

import type * as tf from '@tensorflow/tfjs-core';
import type { WebgpuBackend } from './backend';
import { type Program, runProgram } from './program';

/** Where fewer workgroups than this cover the results, several share the terms of a sum, and their parts are added. */
const WORKGROUPS = 256;
/** Products for a number that are worth a workgroup, and the second pass over the parts. */
const SMALLEST_SHARE = 512;
/** Terms come in steps of this many. */
const STEP = 16;
const THREADS = 64;

/** Side of the tile of a product that a workgroup works out: the larger reads less, where it is not left half empty. */
export function tileFor(columns: number): 32 | 64 {
  return columns % 64 === 0 ? 64 : 32;
}

/** How many terms, a multiple of 16, each of `workgroups` sums up at a time, and how many parts that makes. */
export function partsOf(terms: number, workgroups: number, workPerTerm: number): { span: number; parts: number } {
  const wanted = Math.min(Math.ceil(WORKGROUPS / workgroups), Math.floor((terms * workPerTerm) / SMALLEST_SHARE));
  const span = Math.ceil(terms / Math.max(1, wanted) / STEP) * STEP;
  return { span, parts: Math.ceil(terms / span) };
}

/** The sum over the first axis of `parts` into `total`, and the end of `parts`. */
export function addParts(backend: WebgpuBackend, parts: tf.TensorInfo, total: tf.TensorInfo): void {
  const size = total.shape.reduce((a, b) => a * b, 1);
  runProgram(backend, SUM, {
    outputs: [total],
    inputs: [parts],
    uniforms: { size, parts: parts.shape[0]! },
    workgroups: Math.ceil(size / THREADS),
  });
  backend.disposeData(parts.dataId);
}

const SUM: Program = {
  name: 'SgdiffSumOfParts',
  threads: THREADS,
  outputs: { total: 'f32' },
  inputs: { parts: 'f32' },
  uniforms: ['size', 'parts'],
  code: `
fn run(workgroup: i32, thread: i32) {
  let index = workgroup * ${THREADS} + thread;
  if (index >= uniforms.size) { return; }
  var sum = 0.0;
  for (var part = 0; part < uniforms.parts; part++) { sum += parts[part * uniforms.size + index]; }
  total[index] = sum;
}`,
};

// Shapes: B batch, S positions, C channels, G groups, M channels per group.
import type * as tf from '@tensorflow/tfjs-core';
import type { GroupNormSettings, GroupNormValue } from '../group-norm';
import { runKernel, type WebgpuBackend, type WebgpuKernel } from './backend';
import { type Element, type Program, runProgram } from './program';

const KERNEL = 'SgdiffGroupNorm';

/** Numbers of a group that are worth a workgroup. */
const SHARE = 16384;
const THREADS = 256;

/** Group normalisation (and SiLU) of `x` `[B, ..., C]`. No gradient. The caller disposes the tensors. */
export function webgpuGroupNorm(x: tf.Tensor, weight: tf.Tensor1D, bias: tf.Tensor1D, settings: GroupNormSettings): GroupNormValue {
  const [y, mean, rstd] = runKernel(KERNEL, kernel, { x, weight, bias }, settings);
  return { y: y!, mean: mean as tf.Tensor2D, rstd: rstd as tf.Tensor2D };
}

const kernel: WebgpuKernel<GroupNormSettings> = (backend, inputs, settings) => {
  const [x, weight, bias] = [inputs.x!, inputs.weight!, inputs.bias!];
  const sizes = sizesOf(x, settings.groups);
  const { S, C, G, M, size } = sizes;
  const { mean, rstd } = statistics(backend, x, sizes, settings.eps);
  const y = backend.makeTensorInfo(x.shape, 'float32');
  const inFours = C % 4 === 0;
  runProgram(backend, valueProgram(inFours, settings.silu), {
    outputs: [y],
    inputs: [x, weight, bias, mean, rstd],
    uniforms: { S, C, G, M, size },
    workgroups: Math.ceil(size / (inFours ? 4 : 1) / THREADS),
  });
  return [y, mean, rstd];
};

type Sizes = Readonly<Record<'B' | 'S' | 'C' | 'G' | 'M' | 'size', number>>;

export function sizesOf({ shape }: tf.TensorInfo, G: number): Sizes {
  const size = shape.reduce((a, b) => a * b, 1);
  const [B, C] = [shape[0]!, shape[shape.length - 1]!];
  return { B, S: size / (B * C), C, G, M: C / G, size };
}

/** Mean and 1 / sqrt(variance + eps) of each group, `[B, G]`: of shares of it first where it is large. */
function statistics(
  backend: WebgpuBackend,
  x: tf.TensorInfo,
  { B, S, C, G, M }: Sizes,
  eps: number,
): { mean: tf.TensorInfo; rstd: tf.TensorInfo } {
  const span = Math.ceil(S / Math.ceil((S * M) / SHARE));
  const shares = Math.ceil(S / span);
  const [mean, rstd] = [backend.makeTensorInfo([B, G], 'float32'), backend.makeTensorInfo([B, G], 'float32')];
  const parts = shares === 1 ? [mean, rstd] : [0, 1].map(() => backend.makeTensorInfo([B, G, shares], 'float32'));
  runProgram(backend, statisticsProgram(M % 4 === 0, shares === 1), {
    outputs: parts,
    inputs: [x],
    uniforms: { S, C, G, M, span, shares, eps },
    workgroups: B * G * shares,
  });
  if (shares > 1) {
    runProgram(backend, COMBINE, {
      outputs: [mean, rstd],
      inputs: parts,
      uniforms: { S, M, span, shares, size: B * G, eps },
      workgroups: Math.ceil((B * G) / 64),
    });
    for (const { dataId } of parts) backend.disposeData(dataId);
  }
  return { mean, rstd };
}

/** Mean first, then centred squares: their sum, or what becomes of it where the share is the whole group. */
function statisticsProgram(inFours: boolean, whole: boolean): Program {
  const sumOf = (value: string): string => `
  for (var i = thread; i < count; i += ${THREADS}) {
    let position = i / width;
    let v = x[start + position * stride + i - position * width];
    sum += ${value};
  }`;
  const four = inFours ? 4 : 1;
  return {
    name: `SgdiffGroupNorm statistics ${inFours} ${whole}`,
    threads: THREADS,
    outputs: { mean: 'f32', spread: 'f32' },
    inputs: { x: inFours ? 'vec4<f32>' : 'f32' },
    uniforms: ['S', 'C', 'G', 'M', 'span', 'shares'],
    floatUniforms: ['eps'],
    code: `
${totalOver(THREADS)}

fn run(workgroup: i32, thread: i32) {
  let group = workgroup / uniforms.shares;
  let first = (workgroup % uniforms.shares) * uniforms.span;
  let positions = min(uniforms.span, uniforms.S - first);
  let width = uniforms.M / ${four};
  let stride = uniforms.C / ${four};
  let count = positions * width;
  let start = ((group / uniforms.G) * uniforms.S + first) * stride + (group % uniforms.G) * width;
  let numbers = f32(positions * uniforms.M);
  var sum = 0.0;
  ${sumOf(inFours ? 'v.x + v.y + v.z + v.w' : 'v')}
  let center = total(thread, sum) / numbers;
  sum = 0.0;
  ${sumOf(inFours ? 'dot(v - center, v - center)' : '(v - center) * (v - center)')}
  let squares = total(thread, sum);
  if (thread == 0) {
    mean[workgroup] = center;
    spread[workgroup] = ${whole ? '1 / sqrt(squares / numbers + uniforms.eps)' : 'squares'};
  }
}`,
  };
}

const COMBINE: Program = {
  name: 'SgdiffGroupNorm combine',
  threads: 64,
  outputs: { mean: 'f32', rstd: 'f32' },
  inputs: { means: 'f32', squares: 'f32' },
  uniforms: ['S', 'M', 'span', 'shares', 'size'],
  floatUniforms: ['eps'],
  code: `
fn run(workgroup: i32, thread: i32) {
  let group = workgroup * 64 + thread;
  if (group >= uniforms.size) { return; }
  let all = f32(uniforms.S * uniforms.M);
  var sum = 0.0;
  for (var share = 0; share < uniforms.shares; share++) { sum += means[group * uniforms.shares + share] * numbersIn(share); }
  let center = sum / all;
  sum = 0.0;
  for (var share = 0; share < uniforms.shares; share++) {
    let off = means[group * uniforms.shares + share] - center;
    sum += squares[group * uniforms.shares + share] + off * off * numbersIn(share);
  }
  mean[group] = center;
  rstd[group] = 1 / sqrt(sum / all + uniforms.eps);
}

fn numbersIn(share: i32) -> f32 {
  return f32(min(uniforms.span, uniforms.S - share * uniforms.span) * uniforms.M);
}`,
};

function valueProgram(inFours: boolean, silu: boolean): Program {
  const element = elementOf(inFours);
  return {
    name: `SgdiffGroupNorm value ${inFours} ${silu}`,
    threads: THREADS,
    outputs: { y: element },
    inputs: { x: element, weight: element, bias: element, mean: 'f32', rstd: 'f32' },
    uniforms: ['S', 'C', 'G', 'M', 'size'],
    code: `
fn run(workgroup: i32, thread: i32) {
  ${whereIs(inFours)}
  let u = (x[index] - ${ofGroup('mean', inFours)}) * ${ofGroup('rstd', inFours)} * weight[channel] + bias[channel];
  y[index] = ${silu ? 'u / (1 + exp(-u))' : 'u'};
}`,
  };
}

export function elementOf(inFours: boolean): Element {
  return inFours ? 'vec4<f32>' : 'f32';
}

/** Which number, or four of them, a thread has: `index`, `channel` and `group`, of each. */
export function whereIs(inFours: boolean): string {
  const four = inFours ? 4 : 1;
  return `
  let index = workgroup * ${THREADS} + thread;
  if (index * ${four} >= uniforms.size) { return; }
  let channel = index % (uniforms.C / ${four});
  let channels = ${inFours ? 'channel * 4 + vec4<i32>(0, 1, 2, 3)' : 'channel'};
  let group = index * ${four} / (uniforms.S * uniforms.C) * uniforms.G + channels / uniforms.M;`;
}

/** The numbers of the groups in which the channels are. */
export function ofGroup(buffer: string, inFours: boolean, member = ''): string {
  if (!inFours) return `${buffer}[group]${member}`;
  return `vec4<f32>(${['x', 'y', 'z', 'w'].map((lane) => `${buffer}[group.${lane}]${member}`).join(', ')})`;
}

/** `total(thread, value)`: the sum of the values of all threads. */
export function totalOver(threads: number): string {
  return `
var<workgroup> sums: array<f32, ${threads}>;

fn total(thread: i32, value: f32) -> f32 {
  sums[thread] = value;
  for (var half = ${threads / 2}; half > 0; half /= 2) {
    workgroupBarrier();
    if (thread < half) { sums[thread] += sums[thread + half]; }
  }
  workgroupBarrier();
  let all = sums[0];
  workgroupBarrier(); // before the sums are used again
  return all;
}`;
}

import type * as tf from '@tensorflow/tfjs-core';
import { runKernel, type WebgpuBackend, type WebgpuKernel } from './backend';
import { elementOf } from './group-norm';
import { type Program, runProgram } from './program';

const ACTIVATION = 'SgdiffActivation';
const GATE = 'SgdiffGate';
const THREADS = 64;

export type Activation = 'silu' | 'gelu';

/** `x · sigmoid(x)` or `x · Φ(x)`. No gradient. The caller disposes it. */
export function webgpuActivation<T extends tf.Tensor>(kind: Activation, x: T): T {
  return runKernel(ACTIVATION, activation, { x }, { kind })[0] as T;
}

/** `dy` times the slope of the activation at `x`. The caller disposes it. */
export function webgpuActivationGradient<T extends tf.Tensor>(kind: Activation, dy: T, x: T): T {
  return runKernel(ACTIVATION, activation, { x, dy }, { kind })[0] as T;
}

/** Value times gelu of the gate, `[N, 2 F]` = [value, gate] -> `[N, F]`. No gradient. The caller disposes it. */
export function webgpuGate(x: tf.Tensor2D): tf.Tensor2D {
  return runKernel(GATE, gate, { x }, {})[0] as tf.Tensor2D;
}

/** The gradient of `webgpuGate`, `[N, F]` and `[N, 2 F]` -> `[N, 2 F]`. The caller disposes it. */
export function webgpuGateGradient(dy: tf.Tensor2D, x: tf.Tensor2D): tf.Tensor2D {
  return runKernel(GATE, gate, { x, dy }, {})[0] as tf.Tensor2D;
}

const activation: WebgpuKernel<{ readonly kind: Activation }> = (backend, { x, dy }, { kind }) => {
  const size = x!.shape.reduce((a, b) => a * b, 1);
  const inFours = size % 4 === 0;
  const sizes = { size: inFours ? size / 4 : size };
  return runEach(backend, activationProgram(kind, dy !== undefined, inFours), x!.shape, dy ? [x!, dy] : [x!], sizes);
};

const gate: WebgpuKernel<object> = (backend, { x, dy }) => {
  const [N, twice] = x!.shape as [number, number];
  const F = twice / 2;
  const inFours = F % 4 === 0;
  const four = inFours ? 4 : 1;
  const sizes = { F: F / four, size: (N * F) / four };
  return runEach(backend, gateProgram(dy !== undefined, inFours), dy ? x!.shape : [N, F], dy ? [x!, dy] : [x!], sizes);
};

/** A thread for each number, or for each four. */
function runEach(
  backend: WebgpuBackend,
  program: Program,
  shape: number[],
  inputs: tf.TensorInfo[],
  uniforms: { readonly size: number } & Record<string, number>,
): tf.TensorInfo[] {
  const y = backend.makeTensorInfo(shape, 'float32');
  runProgram(backend, program, { outputs: [y], inputs, uniforms, workgroups: Math.ceil(uniforms.size / THREADS) });
  return [y];
}

function activationProgram(kind: Activation, gradient: boolean, inFours: boolean): Program {
  const element = elementOf(inFours);
  return {
    name: `${ACTIVATION} ${kind} ${gradient} ${inFours}`,
    threads: THREADS,
    outputs: { y: element },
    inputs: { x: element, ...(gradient && { dy: element }) },
    uniforms: ['size'],
    code: `
${kind === 'silu' ? '' : normal(element)}
fn run(workgroup: i32, thread: i32) {
  let index = workgroup * ${THREADS} + thread;
  if (index >= uniforms.size) { return; }
  let v = x[index];
  ${gradient ? `y[index] = dy[index] * ${SLOPES[kind]};` : `y[index] = ${VALUES[kind]};`}
}`,
  };
}

const VALUES: Readonly<Record<Activation, string>> = { silu: 'v / (1 + exp(-v))', gelu: 'v * distribution(v)' };

// silu: s + v s (1 - s), with s the sigmoid of v and 1 - s that of -v.
const SLOPES: Readonly<Record<Activation, string>> = {
  silu: '(1 + v / (1 + exp(v))) / (1 + exp(-v))',
  gelu: '(distribution(v) + v * density(v))',
};

function gateProgram(gradient: boolean, inFours: boolean): Program {
  const element = elementOf(inFours);
  return {
    name: `${GATE} ${gradient} ${inFours}`,
    threads: THREADS,
    outputs: { y: element },
    inputs: { x: element, ...(gradient && { dy: element }) },
    uniforms: ['F', 'size'],
    code: `
${normal(element)}
fn run(workgroup: i32, thread: i32) {
  let index = workgroup * ${THREADS} + thread;
  if (index >= uniforms.size) { return; }
  let at = index / uniforms.F * 2 * uniforms.F + index % uniforms.F;
  let v = x[at + uniforms.F];
  ${
    gradient
      ? `
  y[at] = dy[index] * v * distribution(v);
  y[at + uniforms.F] = dy[index] * x[at] * (distribution(v) + v * density(v));`
      : 'y[index] = x[at] * v * distribution(v);'
  }
}`,
  };
}

/** The normal distribution, exact to 1e-7 (Abramowitz and Stegun 7.1.26), and its density. */
function normal(element: string): string {
  return `
fn distribution(v: ${element}) -> ${element} {
  let z = abs(v) * ${Math.SQRT1_2};
  let t = 1 / (1 + 0.3275911 * z);
  let tail = 0.5 * t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * exp(-z * z);
  return select(tail, 1 - tail, v > ${element}(0));
}
fn density(v: ${element}) -> ${element} {
  return exp(-0.5 * v * v) * ${1 / Math.sqrt(2 * Math.PI)};
}`;
}

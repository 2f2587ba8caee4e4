// Shapes: N rows, F width of value and gate.
import * as tf from '@tensorflow/tfjs-core';
import { addressOf, ensureRegistered, type KernelArgs, type WasmBackend } from './backend';
import { simdKernels, type SimdKernels } from './module';
import { runRanges } from './threads';

const ACTIVATION = 'SgdiffActivation';
const GATE = 'SgdiffGate';

export type Activation = 'silu' | 'gelu';

/** Operations per number, roughly. */
const WORK = 40;

/** The activation of each number. No gradient. The caller disposes it. */
export function wasmActivation<T extends tf.Tensor>(kind: Activation, x: T): T {
  ensureRegistered(ACTIVATION, activationKernel);
  return tf.engine().runKernel(ACTIVATION, { x }, { kind }) as T;
}

/** `dy` times the slope of the activation at `x`. The caller disposes it. */
export function wasmActivationGradient<T extends tf.Tensor>(kind: Activation, dy: T, x: T): T {
  ensureRegistered(ACTIVATION, activationKernel);
  return tf.engine().runKernel(ACTIVATION, { x, dy }, { kind }) as T;
}

/** Value times gelu of the gate, `[N, 2 F]` = [value, gate] -> `[N, F]`. No gradient. The caller disposes it. */
export function wasmGate(x: tf.Tensor2D): tf.Tensor2D {
  ensureRegistered(GATE, gateKernel);
  return tf.engine().runKernel(GATE, { x }) as tf.Tensor2D;
}

/** The gradient of `wasmGate`, `[N, F]` and `[N, 2 F]` -> `[N, 2 F]`. The caller disposes it. */
export function wasmGateGradient(dy: tf.Tensor2D, x: tf.Tensor2D): tf.Tensor2D {
  ensureRegistered(GATE, gateKernel);
  return tf.engine().runKernel(GATE, { x, dy }) as tf.Tensor2D;
}

function activationKernel({ inputs, backend, attrs }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, dy } = inputs as { x: tf.TensorInfo; dy?: tf.TensorInfo };
  const { kind } = attrs as { kind: Activation };
  const out = wasm.makeOutput(x.shape, 'float32');
  const total = x.shape.reduce((a, b) => a * b, 1);
  const options = { total, itemWork: WORK, scratchBytes: scratchBytes() };
  const [from, to] = [addressOf(wasm, x), addressOf(wasm, out)];
  if (dy) runRanges(wasm, `${kind}Gradient`, [addressOf(wasm, dy), from, to], options);
  else runRanges(wasm, kind, [from, to], options);
  return out;
}

function gateKernel({ inputs, backend }: KernelArgs): tf.TensorInfo {
  const wasm = backend as WasmBackend;
  const { x, dy } = inputs as { x: tf.TensorInfo; dy?: tf.TensorInfo };
  const [N, twice] = x.shape as [number, number];
  const F = twice / 2;
  const out = wasm.makeOutput(dy ? [N, twice] : [N, F], 'float32');
  const options = { total: N, itemWork: WORK * F, scratchBytes: scratchBytes() };
  const [from, to] = [addressOf(wasm, x), addressOf(wasm, out)];
  if (dy) runRanges(wasm, 'gateGradient', [addressOf(wasm, dy), from, to, F], options);
  else runRanges(wasm, 'gate', [from, to, F], options);
  return out;
}

function scratchBytes(): number {
  return (simdKernels() as SimdKernels).activationScratchBytes();
}

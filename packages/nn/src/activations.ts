import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import { affine, initLinear, type LinearParams } from './linear';
import type { Rng } from './rng';
import { wasmActivation, wasmActivationGradient, wasmGate, wasmGateGradient } from './wasm/activations';
import { hasWasmKernels } from './wasm/multiply';
import { webgpuActivation, webgpuActivationGradient, webgpuGate, webgpuGateGradient } from './webgpu/activations';
import { hasWebgpu } from './webgpu/backend';

/** x · sigmoid(x), elementwise. The caller disposes the result. */
export function silu<T extends tf.Tensor>(x: T): T {
  return withGradient<T>(
    'silu',
    { x },
    (save) => {
      save([x]);
      if (hasWasmKernels()) return wasmActivation('silu', x);
      return hasWebgpu() ? webgpuActivation('silu', x) : (tf.mul(x, tf.sigmoid(x)) as T);
    },
    (dy, saved) => {
      const [x2] = saved as [T];
      if (hasWasmKernels()) return [wasmActivationGradient('silu', dy, x2)];
      if (hasWebgpu()) return [webgpuActivationGradient('silu', dy, x2)];
      const s = tf.sigmoid(x2);
      return [tf.mul(dy, tf.mul(s, tf.add(1, tf.mul(x2, tf.sub(1, s)))))];
    },
  );
}

/**
 * x · Φ(x) with the exact normal distribution function (erf), elementwise. The caller disposes the result.
 *
 * @see arXiv:1606.08415
 */
export function gelu<T extends tf.Tensor>(x: T): T {
  return withGradient<T>(
    'gelu',
    { x },
    (save) => {
      save([x]);
      if (hasWasmKernels()) return wasmActivation('gelu', x);
      return hasWebgpu() ? webgpuActivation('gelu', x) : (tf.mul(x, normalCdf(x)) as T);
    },
    (dy, saved) => {
      const [x2] = saved as [T];
      if (hasWasmKernels()) return [wasmActivationGradient('gelu', dy, x2)];
      if (hasWebgpu()) return [webgpuActivationGradient('gelu', dy, x2)];
      return [tf.mul(dy, geluSlope(x2, normalCdf(x2)))];
    },
  );
}

/** Weights of a gated projection: one linear layer to twice the width. */
export type GegluParams = { readonly proj: LinearParams };

/** Fresh weights: weight `[inWidth, 2 * hiddenWidth]`. */
export function initGeglu(inWidth: number, hiddenWidth: number, rng: Rng): GegluParams {
  return { proj: initLinear(inWidth, 2 * hiddenWidth, rng) };
}

/**
 * One linear layer to `2 * hidden`; the first half is the value, multiplied by gelu of the second half.
 *
 * @param x `[..., inWidth]`, float32.
 * @returns `[..., hidden]`. The caller disposes it.
 * @throws ShapeError if the last axis of `x` does not fit the weights.
 * @see arXiv:2002.05202, equation 6 (there the gate is the first half; here the second, as in latent diffusion).
 */
export function geglu<R extends tf.Rank>(params: GegluParams, x: tf.Tensor<R>): tf.Tensor<R> {
  const { weight, bias } = params.proj;
  const [I, twice] = weight.shape;
  if (x.rank < 1 || x.shape[x.rank - 1] !== I) {
    throw new ShapeError(`geglu: expected x of shape [..., ${I}], received [${x.shape.join(', ')}].`);
  }
  return tf.tidy(() => {
    const rows = tf.reshape(affine('geglu', x, weight, bias), [-1, twice]) as tf.Tensor2D; // [N, 2 F]
    return tf.reshape<tf.Rank>(gate(rows), [...x.shape.slice(0, -1), twice / 2]) as tf.Tensor<R>;
  });
}

/** Value times gelu of the gate, `[N, 2 F]` = [value, gate] -> `[N, F]`. */
function gate(rows: tf.Tensor2D): tf.Tensor2D {
  return withGradient<tf.Tensor2D>(
    'geglu',
    { rows },
    (save) => {
      save([rows]);
      if (hasWasmKernels()) return wasmGate(rows);
      if (hasWebgpu()) return webgpuGate(rows);
      const [value, gates] = tf.split(rows, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
      return tf.mul(value, tf.mul(gates, normalCdf(gates)));
    },
    (dy, saved) => {
      const [rows2] = saved as [tf.Tensor2D];
      if (hasWasmKernels()) return [wasmGateGradient(dy, rows2)];
      if (hasWebgpu()) return [webgpuGateGradient(dy, rows2)];
      const [value, gates] = tf.split(rows2, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
      const phi = normalCdf(gates);
      return [tf.concat([tf.mul(dy, tf.mul(gates, phi)), tf.mul(tf.mul(dy, value), geluSlope(gates, phi))], 1)];
    },
  );
}

/** Φ(x), elementwise. */
function normalCdf(x: tf.Tensor): tf.Tensor {
  return tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
}

/** d gelu / dx = Φ(x) + x φ(x). */
function geluSlope(x: tf.Tensor, phi: tf.Tensor): tf.Tensor {
  const density = tf.mul(tf.exp(tf.mul(tf.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return tf.add(phi, tf.mul(x, density));
}

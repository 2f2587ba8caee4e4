import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import { initLinear, type LinearParams, multiplyAdd, productOverRows, sumRows, timesTransposed } from './linear';
import type { Rng } from './rng';

/** x · sigmoid(x), elementwise. The caller disposes the result. */
export function silu<T extends tf.Tensor>(x: T): T {
  return withGradient<T>(
    [x],
    (save) => {
      const s = tf.sigmoid(x);
      save([x, s]);
      return tf.mul(x, s) as T;
    },
    (dy, saved) => {
      const [x2, s] = saved as [tf.Tensor, tf.Tensor];
      // s + x s (1 - s)
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
    [x],
    (save) => {
      const phi = normalCdf(x);
      save([x, phi]);
      return tf.mul(x, phi) as T;
    },
    (dy, saved) => {
      const [x2, phi] = saved as [tf.Tensor, tf.Tensor];
      return [tf.mul(dy, geluSlope(x2, phi))];
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
  const hidden = twice / 2;
  return tf.tidy(() => {
    const rows = tf.reshape(x, [-1, I]) as tf.Tensor2D; // [N, I]
    const y = gatedProduct(rows, weight, bias); // [N, F]
    return tf.reshape<tf.Rank>(y, [...x.shape.slice(0, -1), hidden]) as tf.Tensor<R>;
  });
}

/**
 * `(x V + a) * gelu(x G + b)` with the weights `[V, G]` and biases `[a, b]` side by side. The weights are split instead
 * of the product, which is a hundred times as large.
 */
function gatedProduct(x: tf.Tensor2D, weight: tf.Tensor2D, bias: tf.Tensor1D | undefined): tf.Tensor2D {
  return withGradient<tf.Tensor2D>(
    bias ? [x, weight, bias] : [x, weight],
    (save) => {
      const [valueWeight, gateWeight] = tf.split(weight, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
      const [valueBias, gateBias] = bias ? (tf.split(bias, 2) as [tf.Tensor1D, tf.Tensor1D]) : [undefined, undefined];
      const value = multiplyAdd(x, valueWeight, valueBias); // [N, F]
      const gate = multiplyAdd(x, gateWeight, gateBias); // [N, F]
      const phi = normalCdf(gate);
      save([x, value, gate, phi, valueWeight, gateWeight]);
      return tf.mul(value, tf.mul(gate, phi));
    },
    (dy, saved) => {
      const [x2, value, gate, phi, valueWeight, gateWeight] = saved as tf.Tensor2D[];
      const dValue = tf.mul(dy, tf.mul(gate!, phi!)) as tf.Tensor2D;
      const dGate = tf.mul(tf.mul(dy, value!), geluSlope(gate!, phi!)) as tf.Tensor2D;
      const dx = tf.add(timesTransposed(dValue, valueWeight!), timesTransposed(dGate, gateWeight!));
      const grads: tf.Tensor[] = [dx, tf.concat([productOverRows(x2!, dValue), productOverRows(x2!, dGate)], 1)];
      if (bias) grads.push(tf.concat([sumRows(dValue), sumRows(dGate)]));
      return grads;
    },
  );
}

/** Φ(x), elementwise. */
function normalCdf(x: tf.Tensor): tf.Tensor {
  if (tf.getBackend() !== 'wasm') return tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
  // erf is a slow scalar loop on wasm, sigmoid and arithmetic are SIMD.
  const square = tf.minimum(tf.mul(x, x), LOGIT_CDF_LIMIT);
  let p: tf.Tensor = tf.add(tf.mul(square, LOGIT_CDF[0]!), LOGIT_CDF[1]!);
  for (const coefficient of LOGIT_CDF.slice(2)) p = tf.add(tf.mul(p, square), coefficient);
  return tf.sigmoid(tf.mul(x, p));
}

/**
 * Φ(x) = sigmoid(x P(x²)) for x² up to the limit, beyond which Φ is 0 or 1 in float32: coefficients of P, highest
 * first. A minimax fit of degree 6; Φ is off by at most 2.4e-7 in float32, gelu by 6e-7.
 */
const LOGIT_CDF = [
  3.56123751e-9, -2.64915924e-7, 7.91056829e-6, -1.10286849e-4, -6.70047589e-5, 7.26699787e-2, 1.59576757,
];
const LOGIT_CDF_LIMIT = 30;

/** d gelu / dx = Φ(x) + x φ(x). */
function geluSlope(x: tf.Tensor, phi: tf.Tensor): tf.Tensor {
  const exponent = tf.mul(tf.mul(x, x), -0.5);
  // exp is a slow scalar loop on wasm; elu(x) = exp(x) - 1 below zero is SIMD.
  const density = tf.getBackend() === 'wasm' ? tf.add(tf.elu(exponent), 1) : tf.exp(exponent);
  return tf.add(phi, tf.mul(tf.mul(x, density), 1 / Math.sqrt(2 * Math.PI)));
}

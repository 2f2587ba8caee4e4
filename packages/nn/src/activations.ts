import * as tf from '@tensorflow/tfjs-core';
import { withGradient } from './custom-gradient';
import { initLinear, linear, type LinearParams } from './linear';
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
  return tf.tidy(() => {
    const both = linear(params.proj, x); // [..., 2 * hidden]
    const hidden = params.proj.weight.shape[1] / 2;
    const rows = tf.reshape(both, [-1, 2 * hidden]) as tf.Tensor2D;
    return tf.reshape<tf.Rank>(gateByGelu(rows), [...x.shape.slice(0, -1), hidden]) as tf.Tensor<R>;
  });
}

/** `[N, 2F]` -> `[N, F]`: first half times gelu of the second half. */
function gateByGelu(both: tf.Tensor2D): tf.Tensor2D {
  return withGradient<tf.Tensor2D>(
    [both],
    (save) => {
      const [value, gate] = tf.split(both, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
      const phi = normalCdf(gate);
      save([value, gate, phi]);
      return tf.mul(value, tf.mul(gate, phi));
    },
    (dy, saved) => {
      const [value, gate, phi] = saved as [tf.Tensor2D, tf.Tensor2D, tf.Tensor2D];
      const dValue = tf.mul(dy, tf.mul(gate, phi));
      const dGate = tf.mul(tf.mul(dy, value), geluSlope(gate, phi));
      return [tf.concat([dValue, dGate], 1)];
    },
  );
}

function normalCdf<T extends tf.Tensor>(x: T): T {
  return tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2)))) as T;
}

/** d gelu / dx = Φ(x) + x φ(x). */
function geluSlope(x: tf.Tensor, phi: tf.Tensor): tf.Tensor {
  const density = tf.exp(tf.mul(tf.mul(x, x), -0.5));
  return tf.add(phi, tf.mul(tf.mul(x, density), 1 / Math.sqrt(2 * Math.PI)));
}

import * as tf from '@tensorflow/tfjs-core';
import { describeDifference } from './all-close';

export type CheckGradientsOptions = {
  /** Step of the central difference. 1e-2 suits float32 and values around 1. */
  readonly eps?: number;
  readonly rtol?: number;
  readonly atol?: number;
  /** Elements checked per input; all of them if there are fewer. */
  readonly samples?: number;
};

/**
 * Compares the gradients of `sum(f(xs) * r)`, for a fixed random `r`, with central finite differences.
 *
 * @param f Pure function of the tensors; float32 in, float32 out.
 * @param xs Points at which to differentiate. Borrowed.
 * @throws Error naming input, element, expected (finite difference) and received gradient.
 */
export async function checkGradients(
  f: (...xs: tf.Tensor[]) => tf.Tensor,
  xs: tf.Tensor[],
  options: CheckGradientsOptions = {},
): Promise<void> {
  const { eps = 1e-2, rtol = 1e-2, atol = 2e-3, samples = 12 } = options;
  const random = lcg(12345);
  const y = tf.tidy(() => f(...xs));
  const projection = tf.tensor(
    Float32Array.from({ length: y.size }, () => random() * 2 - 1),
    y.shape,
  );
  y.dispose();
  const projected = (...inputs: tf.Tensor[]): tf.Tensor => tf.sum(tf.mul(f(...inputs), projection));
  // Summed in float64: the sum over all outputs in float32 would hide small gradients.
  const value = async (inputs: tf.Tensor[]): Promise<number> => {
    const out = tf.tidy(() => tf.mul(f(...inputs), projection));
    try {
      let total = 0;
      for (const v of await out.data()) total += v;
      return total;
    } finally {
      out.dispose();
    }
  };
  const grads = tf.tidy(() => tf.grads(projected)(xs));
  try {
    for (const [index, x] of xs.entries()) {
      const received = await grads[index]!.data();
      const base = Float32Array.from(await x.data());
      const chosen =
        x.size <= samples
          ? Array.from({ length: x.size }, (_, i) => i)
          : Array.from({ length: samples }, () => Math.floor(random() * x.size));
      for (const element of chosen) {
        const at = async (delta: number): Promise<number> => {
          const moved = Float32Array.from(base);
          moved[element] = base[element]! + delta;
          const shifted = tf.tensor(moved, x.shape);
          try {
            return await value(xs.map((other, i) => (i === index ? shifted : other)));
          } finally {
            shifted.dispose();
          }
        };
        const expected = ((await at(eps)) - (await at(-eps))) / (2 * eps);
        const difference = describeDifference(received[element]!, expected, { rtol, atol });
        if (difference !== undefined) {
          throw new Error(`checkGradients: input ${index}, element ${element} of shape [${x.shape}]: ${difference}.`);
        }
      }
    }
  } finally {
    tf.dispose([...grads, projection]);
  }
}

function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

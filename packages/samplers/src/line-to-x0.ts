import * as tf from '@tensorflow/tfjs-core';

/**
 * The state at `keep` times the level of `x`, on the straight line from there to `x0`, which is at level 0: a step of the ODE with
 * the noise seen held fast.
 *
 * Written as a blend and not as `x + (sigmaNext - sigma) * eps`, and steps of higher order as this and what differences of x0 add to
 * it: from high noise to low that sum would leave of float32 only the rounding.
 */
export function lineToX0(x: tf.Tensor, x0: tf.Tensor, keep: number): tf.Tensor {
  return tf.add(tf.mul(x0, 1 - keep), tf.mul(x, keep));
}

/**
 * A step of a multistep method that draws on eps, the noise seen: held fast as it is, and then what it has turned by since.
 *
 * @param history Of eps, newest first: the first is that of `x` and `x0` at `sigma`.
 * @param weights One for each; they sum to `sigmaNext - sigma`.
 */
export function multistep(
  x: tf.Tensor,
  x0: tf.Tensor,
  history: readonly tf.Tensor[],
  weights: readonly number[],
  sigma: number,
  sigmaNext: number,
): tf.Tensor {
  const [eps, ...earlier] = history as [tf.Tensor, ...tf.Tensor[]];
  const keep = sigmaNext / sigma;
  // Whichever rounds less: a short step adds little to x.
  const held = keep < 0.5 ? lineToX0(x, x0, keep) : tf.add(x, tf.mul(eps, sigmaNext - sigma));
  return tf.addN([held, ...earlier.map((seen, i) => tf.mul(tf.sub(seen, eps), weights[i + 1]!))]);
}

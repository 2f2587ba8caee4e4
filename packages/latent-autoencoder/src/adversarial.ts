// Shapes: B batch, h and w sides of a map of logits.
import * as tf from '@tensorflow/tfjs-core';
import { meanAll, sumAll } from '@sgdiff/nn';

/** Upper end of the adaptive weight, where the adversarial gradient vanishes. */
const MAX_WEIGHT = 1e4;
const WEIGHT_EPS = 1e-4;

/**
 * What the discriminator minimises: half the mean of max(0, 1 − D(real)) and of max(0, 1 + D(decoded)).
 *
 * @param real Logits of real images `[B, h, w, 1]`. @param fake Logits of decoded ones.
 * @returns A scalar. The caller disposes it.
 * @see arXiv:1705.02894, equation 3.
 */
export function hingeDiscriminatorLoss(real: tf.Tensor, fake: tf.Tensor): tf.Scalar {
  return tf.tidy(() => {
    const below = meanAll(tf.relu(tf.sub(1, real)));
    const above = meanAll(tf.relu(tf.add(1, fake)));
    return tf.mul(tf.add(below, above), 0.5) as tf.Scalar;
  });
}

/** What the autoencoder minimises: −mean D(decoded). A scalar; the caller disposes it. */
export function generatorLoss(fake: tf.Tensor): tf.Scalar {
  return tf.tidy(() => tf.neg(meanAll(fake)));
}

/**
 * How much the adversarial term counts, so that it pulls on the decoder's last layer about as much as reconstruction does:
 * ‖∇ reconstruction‖ / (‖∇ adversarial‖ + 1e-4), at most 1e4.
 *
 * @param reconstruction Gradient of the reconstruction term with respect to the last layer's weights.
 * @param adversarial Gradient of the adversarial term with respect to the same.
 * @returns A scalar. The caller disposes it.
 * @see arXiv:2012.09841, equation 7 (its δ is 1e-6; the code has 1e-4).
 */
export function adaptiveWeight(reconstruction: tf.Tensor, adversarial: tf.Tensor): tf.Scalar {
  return tf.tidy(() => {
    const norm = (gradient: tf.Tensor): tf.Tensor => tf.sqrt(sumAll(tf.square(gradient)));
    const ratio = tf.div(norm(reconstruction), tf.add(norm(adversarial), WEIGHT_EPS));
    return tf.clipByValue(ratio, 0, MAX_WEIGHT) as tf.Scalar;
  });
}

// Shapes: B batch, then any further axes of the data.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { SamplerError } from './errors';

export type GuidanceOptions = {
  /** 1 is the plain conditional prediction, 0 the unconditional; above 1 the condition is followed more closely. */
  readonly guidanceScale: number;
};

/**
 * Classifier-free guidance: `unconditional + guidanceScale * (conditional - unconditional)`, in one call per step.
 *
 * Guiding x0 equals guiding eps or v, since both are linear in x0 at a given x.
 *
 * @param denoiser Gets `x` twice over, `[2B, …]`: the first B items are to be denoised with their condition, the last B
 *   without. So it wraps a model whose conditions are stacked in that order.
 * @returns A denoiser of `[B, …]`.
 * @throws SamplerError if `guidanceScale` is not finite; the denoiser throws if the wrapped one does not return `[2B, …]`.
 * @see arXiv:2207.12598, equation 6, with guidanceScale = 1 + w.
 */
export function classifierFreeGuidance<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  options: GuidanceOptions,
): Denoiser<T> {
  const { guidanceScale } = options;
  if (!Number.isFinite(guidanceScale)) {
    throw new SamplerError(
      `classifierFreeGuidance: expected guidanceScale to be a finite number, received ${guidanceScale}.`,
      'bad_argument',
    );
  }
  return (x, sigma, step) =>
    tf.tidy(() => {
      const both = denoiser(tf.concat<T>([x, x], 0), sigma, step); // [2B, …]
      const want = [2 * x.shape[0]!, ...x.shape.slice(1)];
      if (both.shape.join() !== want.join()) {
        throw new SamplerError(
          `classifierFreeGuidance: expected the denoiser to return shape [${want}], the conditional items and then ` +
            `the unconditional ones, received [${both.shape}].`,
          'bad_shape',
        );
      }
      const [conditional, unconditional] = tf.split(both, 2, 0) as [T, T]; // [B, …] each
      return tf.add<T>(unconditional, tf.mul(tf.sub(conditional, unconditional), guidanceScale));
    });
}

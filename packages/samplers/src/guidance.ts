// Shapes: B batch, then any further axes of the data.
import * as tf from '@tensorflow/tfjs-core';
import { expectPrediction, type Denoiser, type Prediction } from './denoiser';
import { expectFunction, expectNumber, expectObject, SamplerError } from './errors';
import { expectAnswer } from './expect-tensor';

export type GuidanceOptions<T extends tf.Tensor = tf.Tensor> = {
  /** 1 is the plain conditional prediction, 0 the unconditional; above 1 the condition is followed more closely. */
  readonly guidanceScale: number;
  /**
   * How much of the spread that guidance adds is taken back, from 0, the default, to 1: the standard deviation of each item, over all its
   * axes, is brought towards that of the conditional prediction (arXiv:2305.08891, equations 15 and 16, where 0.7 is used).
   */
  readonly rescale?: number;
  /**
   * The form of the prediction in which the spread is measured. Default 'x0'. What the network predicts gives the numbers of the
   * paper and of diffusers, which rescale its raw output. With 'eps' at a level in the thousands float32 leaves x0 few digits, since it is
   * a difference of numbers as large as sigma: there take 'v'.
   */
  readonly rescaleOf?: Prediction;
  /**
   * Guides only for `sigma` above the first of these levels and up to the second (arXiv:2404.07724); elsewhere the
   * prediction is the conditional one. Default all levels.
   */
  readonly interval?: readonly [above: number, upTo: number];
  /**
   * The denoiser of the condition alone, `[B, …]`: it takes the calls outside the interval, at half the work. Without it, the
   * unconditional half is computed there too, and dropped.
   */
  readonly conditional?: Denoiser<T>;
};

const REMEDY = ' It is given the conditional items and then the unconditional ones, and has to answer both.';

/**
 * Classifier-free guidance: `unconditional + guidanceScale * (conditional - unconditional)`, in one call per step.
 *
 * Guiding x0 equals guiding eps or v, since both are linear in x0 at a given x.
 *
 * @param denoiser Gets `x` twice over, `[2B, …]`: the first B items are to be denoised with their condition, the last B
 *   without, or with what the picture is to be led away from. So it wraps a model whose conditions are stacked in that order.
 * @returns A denoiser of `[B, …]`.
 * @throws SamplerError for bad options; the denoiser throws if the wrapped one does not return `[2B, …]`.
 * @see arXiv:2207.12598, equation 6, with guidanceScale = 1 + w.
 */
export function classifierFreeGuidance<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  options: GuidanceOptions<T>,
): Denoiser<T> {
  const where = 'classifierFreeGuidance';
  expectFunction(where, 'denoiser', denoiser, '(x, sigma, step) => x0');
  expectObject(where, 'options', options);
  const { guidanceScale, rescale = 0, rescaleOf = 'x0', interval = [0, Infinity], conditional: alone } = options;
  expectNumber(where, 'guidanceScale', guidanceScale, Number.isFinite, 'a finite number');
  expectNumber(where, 'rescale', rescale, (value) => value >= 0 && value <= 1, 'a number from 0 to 1');
  expectPrediction(where, 'rescaleOf', rescaleOf);
  const [above, upTo] = interval;
  if (!(above >= 0 && above < upTo)) {
    throw new SamplerError(
      `${where}: expected interval to be two rising sigmas from 0, received [${interval}].`,
      'bad_argument',
    );
  }
  return (x, sigma, step) => {
    const guided = sigma > above && sigma <= upTo;
    if (!guided && alone) return expectAnswer(where, 'conditional', alone(x, sigma, step), x.shape, sigma, step);
    return tf.tidy(() => {
      const answer = denoiser(tf.concat<T>([x, x], 0), sigma, step);
      const want = [2 * x.shape[0]!, ...x.shape.slice(1)];
      const both = expectAnswer(where, 'the denoiser', answer, want, sigma, step, REMEDY); // [2B, …]
      const [conditional, unconditional] = tf.split(both, 2, 0) as [T, T]; // [B, …] each
      if (!guided) return conditional;
      const x0 = tf.add<T>(unconditional, tf.mul(tf.sub(conditional, unconditional), guidanceScale));
      return rescale > 0 ? rescaled(x0, conditional, x, sigma, rescale, rescaleOf) : x0;
    });
  };
}

/**
 * The guided x0, rescaled. At a given x, eps and v are x0 plus a share of x, times a number that drops out of the ratio of two
 * spreads: so those sums are rescaled, and the share of x is taken off again.
 */
function rescaled<T extends tf.Tensor>(x0: T, like: T, x: T, sigma: number, rescale: number, of: Prediction): T {
  const share = { x0: 0, eps: -1, v: -1 / (1 + sigma * sigma) }[of];
  const offset = tf.mul(x, share);
  const spread = (of0: tf.Tensor) => tf.sqrt(tf.moments(tf.add(of0, offset), axesOfItem(x), true).variance); // [B, 1, …]
  const guided = spread(x0);
  const ratio = tf.where(tf.greater(guided, 0), tf.div(spread(like), guided), tf.onesLike(guided)); // a flat item has no spread
  const factor = tf.add(tf.mul(ratio, rescale), 1 - rescale);
  return tf.sub<T>(tf.mul(tf.add(x0, offset), factor), offset);
}

function axesOfItem({ rank }: tf.Tensor): number[] {
  return Array.from({ length: rank - 1 }, (_, axis) => axis + 1);
}

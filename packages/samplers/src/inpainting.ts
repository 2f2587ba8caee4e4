// Shapes: the data's, [B, …, C], e.g. [B, h, w, C]; the mask's [B, …, 1] or [1, …, 1].
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { SamplerError } from './errors';
import type { Iterate } from './restart';
import { lastState, type SampleOptions, type SamplingStep } from './solver';

export type InpaintingOptions<T extends tf.Tensor> = SampleOptions & {
  /** Takes the steps: any `iterate…` function; `iterateRestart` for resampling. */
  readonly solver: Iterate<T>;
  /** The clean data of which a part is to stay, of the shape of `xT`, float32. Borrowed. */
  readonly known: T;
  /**
   * 1 where it is drawn anew, 0 where `known` stays; between them, a soft edge. Shape of the data with 1 in place of the last axis or of
   * the batch, or the data's own; float32. Borrowed.
   */
  readonly mask: tf.Tensor;
};

/**
 * Inpainting: a part of the data is given, a sampler draws the rest to it.
 *
 * In the given part the network's prediction is replaced by what is known: `x0 = mask * x0 + (1 - mask) * known`. Any sampler then holds
 * that part at the noise level by itself: without noise at `known + sigma * eps`, eps being that of `xT`, and with noise at a
 * draw of the same law. RePaint puts `known + sigma * noise` into the state after each step instead (its equation 8), with new noise.
 * The law is the same, but what a step of two calls sees half-way and what a multistep method remembers then contradicts the state;
 * here both fit it, and methods keep their order.
 *
 * Steps and network calls are the solver's. Either way the rest is drawn to the given part as seen through the noise, so it is not an
 * exact draw from the conditional law. Resampling (RePaint's section 4.2) takes it nearer: `iterateRestart` as `solver`.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0; with `keepNoise` they may end above 0.
 * @returns The sample, `[B, …]`; where the mask is 0, `known` to the last bit. The caller disposes it.
 * @throws SamplerError for a mask that does not fit and other bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2201.09865.
 */
export async function sampleInpainting<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: InpaintingOptions<T>,
): Promise<T> {
  return lastState(runInpainting('sampleInpainting', denoiser, xT, sigmas, options));
}

/** `sampleInpainting` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateInpainting<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: InpaintingOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runInpainting('iterateInpainting', denoiser, xT, sigmas, options);
}

async function* runInpainting<T extends tf.Tensor>(
  where: string,
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  { solver, known, mask, ...options }: InpaintingOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  expectFits(where, known, mask, xT);
  const { anew, stays, held } = tf.tidy(() => ({
    anew: tf.clone(mask),
    stays: tf.clone(known), // of their own, so that the caller may dispose his during the run
    held: tf.mul(known, tf.sub(1, mask)),
  }));
  try {
    for (const value of await anew.data()) {
      if (value >= 0 && value <= 1) continue;
      throw new SamplerError(
        `${where}: expected options.mask to be from 0, what stays, to 1, what is drawn anew, received ${value}.`,
        'bad_argument',
      );
    }
    const blended: Denoiser<T> = (x, sigma, step) => {
      const x0 = denoiser(x, sigma, step);
      if (!(x0 instanceof tf.Tensor) || x0.shape.join() !== x.shape.join()) return x0; // for the solver to refuse
      return tf.tidy(() => tf.add<T>(tf.mul(x0, anew), held));
    };
    yield* solver(blended, xT, sigmas, {
      ...options,
      onStep(step) {
        // To the last bit, too, for methods whose result is worked out from several predictions.
        if (step.sigmaNext === 0) step.replace(tf.tidy(() => tf.where(tf.greater(anew, 0), step.x, stays)));
        return options.onStep?.(step);
      },
    });
  } finally {
    tf.dispose([anew, stays, held]);
  }
}

function expectFits(where: string, known: tf.Tensor, mask: tf.Tensor, xT: tf.Tensor): void {
  const shape = xT.shape;
  const fits = (tensor: tf.Tensor, free: (axis: number) => boolean) =>
    tensor.dtype === 'float32' &&
    tensor.rank === shape.length &&
    tensor.shape.every((length, axis) => length === shape[axis] || (length === 1 && free(axis)));
  const fail = (what: string, want: string, { dtype, shape }: tf.Tensor): never => {
    throw new SamplerError(
      `${where}: expected options.${what} to be float32 of shape [${want}], received ${dtype} of shape [${shape}].`,
      'bad_shape',
    );
  };
  if (!fits(known, () => false)) fail('known', `${shape}`, known);
  const last = shape.length - 1;
  if (!fits(mask, (axis) => axis === 0 || axis === last)) fail('mask', `${[...shape.slice(0, last), 1]}`, mask);
}

// Shapes: the data's, [B, …, C], e.g. [B, h, w, C]; the mask's [B, …, 1] or [1, …, 1].
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectObject, SamplerError, shown } from './errors';
import { expectBatch, expectFiniteData, isFloats } from './expect-tensor';
import { savedAround, savedWithin } from './saved-run';
import {
  expectSolver,
  lastState,
  stepsOf,
  stepWith,
  type Iterate,
  type SampleOptions,
  type SamplingStep,
} from './solver';

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
 * draw of the same law (but for DDPM with the variance 'beta' and for `sNoise` other than 1, which add more or less than that law has). RePaint puts `known + sigma * noise` into the state after each step instead (its equation 8), with new noise.
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
  runOptions: InpaintingOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  expectObject(where, 'options', runOptions);
  const { solver, known, mask, ...options } = runOptions;
  const { onStep, resume } = options;
  expectSolver(where, solver, denoiser);
  expectBatch(where, 'xT', xT);
  expectFits(where, known, mask, xT);
  const { start, anew, stays, held } = tf.tidy(() => ({
    start: tf.clone(xT), // of their own, so that the caller may dispose his during the run
    anew: tf.clone(mask),
    stays: tf.clone(known),
    held: tf.mul(known, tf.sub(1, mask)),
  }));
  try {
    const region = await anew.data();
    for (const value of region) {
      if (value >= 0 && value <= 1) continue;
      throw new SamplerError(
        `${where}: expected options.mask to be from 0, what stays, to 1, what is drawn anew, received ${value}.`,
        'bad_argument',
      );
    }
    await expectFiniteData(where, 'options.known', stays);
    const settings = { mask: checksum(region), known: checksum(await stays.data()) };
    const blended: Denoiser<T> = (x, sigma, step) => {
      const x0 = denoiser(x, sigma, step);
      if (!isFloats(x0, x.shape)) return x0; // for the solver to refuse
      return tf.tidy(() => tf.add<T>(tf.mul(x0, anew), held));
    };
    const named = (step: SamplingStep<T>): SamplingStep<T> =>
      stepWith(step, { save: async () => savedAround(where, await step.save(), settings) });
    const steps = stepsOf(where, solver, blended, start, sigmas, {
      ...options,
      ...(resume !== undefined && { resume: savedWithin(where, resume, settings) }),
      onStep(step) {
        // To the last bit, too, for methods whose result is worked out from several predictions.
        if (step.sigmaNext === 0) step.replace(tf.tidy(() => tf.where(tf.greater(anew, 0), step.x, stays)));
        return onStep?.(named(step as SamplingStep<T>));
      },
    });
    for await (const step of steps) yield named(step);
  } finally {
    tf.dispose([start, anew, stays, held]);
  }
}

/** FNV-1a of the bytes of a tensor: tells one mask from another, and is no secret. */
function checksum(values: Float32Array | Int32Array | Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(values.buffer, values.byteOffset, values.byteLength)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return hash >>> 0;
}

function expectFits(where: string, known: tf.Tensor, mask: tf.Tensor, xT: tf.Tensor): void {
  const shape = xT.shape;
  const fits = (tensor: tf.Tensor, free: (axis: number) => boolean) =>
    isFloats(tensor) &&
    tensor.rank === shape.length &&
    tensor.shape.every((length, axis) => length === shape[axis] || (length === 1 && free(axis)));
  const fail = (what: string, want: string, received: tf.Tensor): never => {
    throw new SamplerError(
      `${where}: expected options.${what} to be float32 of shape [${want}], received ${shown(received)}.`,
      'bad_shape',
    );
  };
  if (!fits(known, () => false)) fail('known', `${shape}`, known);
  const last = shape.length - 1;
  if (!fits(mask, (axis) => axis === 0 || axis === last)) fail('mask', `${[...shape.slice(0, last), 1]}`, mask);
}

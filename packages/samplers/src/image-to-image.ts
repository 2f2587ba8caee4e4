import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectFunction, expectList, expectNumber, expectObject, SamplerError, SamplingAbortedError } from './errors';
import { expectAnswer, expectBatch, expectFiniteData } from './expect-tensor';
import { INITIAL_STEP, initialNoise } from './noise';
import { expectSolver, lastState, stepsOf, type Iterate, type SampleOptions, type SamplingStep } from './solver';

export type ImageToImageOptions<T extends tf.Tensor> = SampleOptions & {
  /** Takes the steps: any `iterate…` function. */
  readonly solver: Iterate<T>;
  /** How much is drawn anew: 0 gives the image itself, 1 draws from noise alone, as if there were no image. */
  readonly strength: number;
};

/**
 * Image to image: noise is added to given data, and a sampler takes it away again. What is coarser than the noise stays, what is finer is
 * drawn anew.
 *
 * The run takes the last steps of `sigmas` (`strengthSigmas`), from `x0 + sigma * noise` at their first level; at strength 1 from
 * `initialNoise`, so that nothing of x0 is left. Steps, network calls and order are the solver's on that part.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param x0 Clean data, `[B, …]`, float32. Borrowed.
 * @param sigmas Noise levels of a run from noise, strictly falling to 0.
 * @param options `solver`, `strength`; `noise` is needed above strength 0: the start is its draw `INITIAL_STEP`, the same as that of a run
 *   from noise, and the steps of the part count from 0.
 * @returns The sample, `[B, …]`; at strength 0 a copy of x0. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2108.01073 (SDEdit).
 */
export async function sampleImageToImage<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  x0: T,
  sigmas: ArrayLike<number>,
  options: ImageToImageOptions<T>,
): Promise<T> {
  const result = await lastState(runPart('sampleImageToImage', denoiser, x0, sigmas, options));
  return (result as T | undefined) ?? tf.clone(x0);
}

/** `sampleImageToImage` step by step; at strength 0 there is no step. The tensors of a step are borrowed until the loop's body ends. */
export function iterateImageToImage<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  x0: T,
  sigmas: ArrayLike<number>,
  options: ImageToImageOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runPart('iterateImageToImage', denoiser, x0, sigmas, options);
}

/**
 * The part of a list of sigmas that image to image of this strength runs: the last `floor(steps * strength)` steps, but at least one
 * unless strength is 0. A product that is whole but for rounding counts as whole: 0.29 of 100 steps are 29 (diffusers: 28).
 *
 * @returns The end of the list, one number more than steps.
 * @throws SamplerError unless strength is a number from 0 to 1.
 */
export function strengthSigmas(sigmas: ArrayLike<number>, strength: number): Float64Array {
  return partOf('strengthSigmas', sigmas, strength);
}

function partOf(where: string, sigmas: ArrayLike<number>, strength: number): Float64Array {
  expectList(where, 'sigmas', sigmas, 'bad_sigmas');
  const range = 'a number from 0, the image itself, to 1, noise alone';
  expectNumber(where, 'strength', strength, (value) => value >= 0 && value <= 1, range);
  const steps = Math.max(Math.floor((sigmas.length - 1) * strength + 1e-9), strength > 0 ? 1 : 0);
  return Float64Array.from(sigmas).slice(-1 - steps);
}

async function* runPart<T extends tf.Tensor>(
  where: string,
  denoiser: Denoiser<T>,
  x0: T,
  sigmas: ArrayLike<number>,
  runOptions: ImageToImageOptions<T>,
): AsyncGenerator<SamplingStep<T>, void, void> {
  expectObject(where, 'options', runOptions);
  const { solver, strength, ...options } = runOptions;
  const { noise, signal } = options;
  const levels = partOf(where, sigmas, strength);
  expectSolver(where, solver, denoiser);
  expectBatch(where, 'x0', x0);
  if (signal?.aborted) throw new SamplingAbortedError(`${where}: aborted before the first step.`, signal.reason);
  const image = tf.clone(x0); // of its own, so that the caller may dispose his meanwhile
  let start: T;
  try {
    await expectFiniteData(where, 'x0', image);
    if (strength === 0) return;
    if (noise === undefined) {
      throw new SamplerError(
        `${where}: expected options.noise, which strength ${strength} needs, received none. Pass perItemNoise(seeds).`,
        'missing_noise',
      );
    }
    expectFunction(where, 'options.noise', noise, 'as from perItemNoise(seeds)');
    start = tf.tidy(() =>
      strength === 1
        ? (initialNoise(noise, image.shape, levels) as T)
        : tf.add<T>(
            image,
            tf.mul(
              expectAnswer(where, 'noise', noise(image.shape, INITIAL_STEP), image.shape, levels[0]!, undefined),
              levels[0]!,
            ),
          ),
    );
  } finally {
    image.dispose();
  }
  try {
    yield* stepsOf(where, solver, denoiser, start, levels, options);
  } finally {
    start.dispose();
  }
}

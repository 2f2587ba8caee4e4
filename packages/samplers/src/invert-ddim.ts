// Names: a step leads from level `from` up to level `to`.
import * as tf from '@tensorflow/tfjs-core';
import type { Denoiser } from './denoiser';
import { expectList, expectNumber, expectObject } from './errors';
import { expectBatch, expectFiniteData } from './expect-tensor';
import { lastState, runSolver, stepWith, type SampleOptions, type SamplingStep, type Solver } from './solver';

export type InvertDdimOptions = Omit<SampleOptions, 'noise'> & {
  /** How often each step is solved again with the noise predicted where it ends, as the way down has it. Default 0. */
  readonly iterations?: number;
};

/**
 * DDIM inversion: the noise from which deterministic DDIM draws given data; one network call per step and one more for each of `iterations`.
 *
 * Runs DDIM's rule upwards, `x + (to - from) * eps`. The way down has its eps where the step ends above, which is not known yet, so the
 * first guess takes that at the start, or of x itself at the first level where the start is clean; each iteration puts in eps at the
 * point found. Down again on the same sigmas, DDIM with eta 0 (and Euler) returns the data up to an error of order `1 + iterations` in the length
 * of the steps; the noise found is that of the probability-flow ODE to first order.
 *
 * @param denoiser Predicts x0; borrows what it is given. The same as on the way down: with guidance above 1 the error may be large.
 * @param x0 Clean data, `[B, …]`, float32; under `keepNoise` at the level of the last sigma. Borrowed.
 * @param sigmas Noise levels of the way down, strictly falling to 0, as the sampler gets them.
 * @returns Noise of level `sigmas[0]`: the sampler's `xT`, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2010.02502, section 4.3; for the iterations arXiv:2309.04907.
 */
export async function invertDdim<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  x0: T,
  sigmas: ArrayLike<number>,
  options: InvertDdimOptions = {},
): Promise<T> {
  return lastState(runUpwards('invertDdim', denoiser, x0, sigmas, options));
}

/** `invertDdim` step by step; `sigma` and `sigmaNext` of a step rise. The tensors of a step are borrowed until the loop's body ends. */
export function iterateInvertDdim<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  x0: T,
  sigmas: ArrayLike<number>,
  options: InvertDdimOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runUpwards('iterateInvertDdim', denoiser, x0, sigmas, options);
}

async function* runUpwards<T extends tf.Tensor>(
  where: string,
  denoiser: Denoiser<T>,
  x0: T,
  sigmas: ArrayLike<number>,
  options: InvertDdimOptions,
): AsyncGenerator<SamplingStep<T>, void, void> {
  expectObject(where, 'options', options);
  const { iterations = 0, onStep } = options;
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
  expectNumber(where, 'iterations', iterations, isCount, 'a whole number from 0');
  expectList(where, 'sigmas', sigmas, 'bad_sigmas');
  expectBatch(where, 'x0', x0);
  const rising = Float64Array.from(sigmas).reverse();
  const upwards = (step: SamplingStep<T>): SamplingStep<T> =>
    stepWith(step, { sigma: rising[step.index]!, sigmaNext: rising[step.index + 1]! });
  // The run counts its steps along the falling list, which it checks; the rule takes the levels from the other end.
  const rule: Solver = {
    settings: { iterations },
    step({ x }, { index, denoise }) {
      const [from, to] = [rising[index]!, rising[index + 1]!];
      let seen = x;
      const along = (y: tf.Tensor, level: number) => {
        seen = denoise(y, level);
        return tf.add(x, tf.mul(tf.sub(y, seen), (to - from) / level));
      };
      let y = from > 0 ? along(x, from) : along(x, to);
      for (let i = 0; i < iterations; i++) y = along(y, to);
      return { x: y, x0: seen, memory: [] };
    },
  };
  const start = tf.clone(x0);
  try {
    await expectFiniteData(where, 'x0', start);
    const run = runSolver(() => rule, where, denoiser, start, sigmas, {
      ...options,
      ...(onStep && { onStep: (step: SamplingStep) => onStep(upwards(step as SamplingStep<T>)) }),
    });
    for await (const step of run) yield upwards(step);
  } finally {
    start.dispose();
  }
}

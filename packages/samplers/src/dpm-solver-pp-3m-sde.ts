// lambda is -log(sigma), half the log signal-to-noise ratio; h is its growth over a step, hEta = (1 + eta) h; u runs from
// 0 to 1 over the step, so the last predictions lie at u = 0, -r0 and -r0 - r1.
import * as tf from '@tensorflow/tfjs-core';
import { ancestralOptions, type AncestralOptions } from './ancestral-options';
import type { Denoiser } from './denoiser';
import { lastState, runSolver, type SamplingStep, type Solver } from './solver';

/**
 * DPM-Solver++ 3M SDE: the reverse SDE, its drift drawn on from the last three predictions.
 *
 * One network call per step; one draw of noise in each but the last. The first two steps have less to look back on (orders 1 and 2)
 * and the last ends at sigma 0, where lambda is infinite (order 1). At `eta` 0 it is deterministic and of third order; above, its law
 * is of second order in the limit, with an error far below that of 2M SDE from 40 steps on. Not for fewer than 15 steps. Noise is drawn as in 2M SDE.
 *
 * Here the parabola through the three predictions is integrated as it is. k-diffusion halves the weight of its second difference, which
 * makes it second-order at `eta` 0 too; diffusers also has its sign wrong, which makes it first-order. Results differ from
 * theirs by that term.
 *
 * @param denoiser Predicts x0; borrows what it is given.
 * @param xT Noise of level `sigmas[0]`, `[B, …]`, float32, e.g. from `initialNoise`. Borrowed.
 * @param sigmas Noise levels, strictly falling to 0, as from `samplingSigmas`; with `keepNoise` they may end above 0.
 * @param options `eta` from 0, default 1; `sNoise`, default 1; `noise` is needed unless one of them is 0.
 * @returns The sample, `[B, …]`. The caller disposes it.
 * @throws SamplerError for bad arguments, or when a step goes wrong; SamplingAbortedError.
 * @see arXiv:2211.01095, proposition 4.1, whose integral over a parabola this is; k-diffusion's `sample_dpmpp_3m_sde`.
 */
export async function sampleDpmSolverPp3mSde<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: AncestralOptions = {},
): Promise<T> {
  return lastState(runSolver(dpmSolverPp3mSde, 'sampleDpmSolverPp3mSde', denoiser, xT, sigmas, options));
}

/** `sampleDpmSolverPp3mSde` step by step. The tensors of a step are borrowed until the loop's body ends; `tf.clone` what you keep. */
export function iterateDpmSolverPp3mSde<T extends tf.Tensor>(
  denoiser: Denoiser<T>,
  xT: T,
  sigmas: ArrayLike<number>,
  options: AncestralOptions = {},
): AsyncGenerator<SamplingStep<T>, void, void> {
  return runSolver(dpmSolverPp3mSde, 'iterateDpmSolverPp3mSde', denoiser, xT, sigmas, options);
}

function dpmSolverPp3mSde(name: string, options: AncestralOptions): Solver {
  const { eta, sNoise, needs } = ancestralOptions(name, options, Infinity);
  return {
    settings: { eta, sNoise },
    remembers: 2,
    ...needs,
    step({ x, memory }, { index, sigmas, sigma, sigmaNext, denoise, noise }) {
      const x0 = denoise(x, sigma);
      if (sigmaNext === 0) return { x: x0, x0, memory: [] };
      const h = Math.log(sigma / sigmaNext);
      const hEta = (1 + eta) * h;
      const pull = -Math.expm1(-hEta); // weight of a constant x0: of u^n it is the integral of hEta e^(-(1 - u) hEta) u^n
      const ofU = 1 - pull / hEta;
      const ofU2 = 1 - (2 * ofU) / hEta;
      const terms = [tf.mul(x, 1 - pull), tf.mul(x0, pull)];
      const [x0Before, x0Earlier] = memory;
      if (x0Before) {
        const r0 = Math.log(sigmas[index - 1]! / sigma) / h;
        const slope = tf.div(tf.sub(x0, x0Before), r0); // Newton's divided differences
        terms.push(tf.mul(slope, ofU));
        if (x0Earlier) {
          const r1 = Math.log(sigmas[index - 2]! / sigmas[index - 1]!) / h;
          const bend = tf.div(tf.sub(slope, tf.div(tf.sub(x0Before, x0Earlier), r1)), r0 + r1);
          terms.push(tf.mul(bend, ofU2 + r0 * ofU)); // of u (u + r0)
        }
      }
      const spread = sNoise * sigmaNext * Math.sqrt(-Math.expm1(-2 * eta * h));
      if (spread > 0) terms.push(tf.mul(noise(), spread));
      return { x: tf.addN(terms), x0, memory: x0Before ? [x0, x0Before] : [x0] };
    },
  };
}

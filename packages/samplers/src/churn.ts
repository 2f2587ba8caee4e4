import * as tf from '@tensorflow/tfjs-core';
import { expectNumber } from './errors';
import type { SampleOptions, Solver, SolverContext } from './solver';

/**
 * Churn: fresh noise before each step, which the step then takes away again with the old, so that errors of earlier steps fade.
 *
 * A step from sigma first raises the noise to `sigmaHat = sigma * (1 + min(sChurn / steps, sqrt(2) - 1))`, but never above
 * `sigmas[0]`, the level that the run started from, since beyond it the network need not know anything: the first step is never
 * churned. That is where we depart from the source; in all its settings sTmax is low enough for it to make no difference. Under
 * `sampleRestart` each segment is a run of its own: `steps` are those of the segment, and its first step is not churned.
 *
 * @see arXiv:2206.00364, algorithm 2 and table 5.
 */
export type ChurnOptions = SampleOptions & {
  /** How much noise, over the whole run (with restarts: over each segment). 0, the default, is deterministic; above it `noise` is needed. */
  readonly sChurn?: number;
  /** Only steps from levels between `sTmin` and `sTmax`, both included, are churned. Default 0. */
  readonly sTmin?: number;
  /** Default Infinity. */
  readonly sTmax?: number;
  /** Standard deviation of the added noise, to be set a little above 1 where a network removes too much. Default 1. */
  readonly sNoise?: number;
};

/** A state that has been churned, and the level that it is at now. */
type Churned = { readonly x: tf.Tensor; readonly sigma: number };

/**
 * Checks the options of churn for the sampler `name`.
 *
 * @returns What a solver with churn is made of: what it says of its settings and of noise, and the start of its step.
 */
export function createChurn(
  name: string,
  { sChurn = 0, sTmin = 0, sTmax = Infinity, sNoise = 1 }: ChurnOptions,
): Pick<Solver, 'settings' | 'needsNoise'> & { churn: (x: tf.Tensor, context: SolverContext) => Churned } {
  const isAmount = (value: number) => value >= 0 && value < Infinity;
  const settings = { sChurn, sTmin, sTmax, sNoise };
  for (const what of ['sChurn', 'sTmin', 'sNoise'] as const) {
    expectNumber(name, what, settings[what], isAmount, 'a finite number from 0');
  }
  expectNumber(name, 'sTmax', sTmax, (value) => value >= sTmin, `a number from sTmin, ${sTmin}`);
  return {
    settings,
    ...(sChurn > 0 && { needsNoise: `sChurn ${sChurn}` }),
    churn(x, { sigmas, sigma, noise }) {
      if (sChurn === 0 || sigma < sTmin || sigma > sTmax) return { x, sigma };
      const gamma = Math.min(sChurn / (sigmas.length - 1), Math.SQRT2 - 1);
      const sigmaHat = Math.min(sigma * (1 + gamma), sigmas[0]!);
      if (sigmaHat === sigma) return { x, sigma };
      const added = sNoise * Math.sqrt(sigmaHat ** 2 - sigma ** 2);
      return { x: tf.add(x, tf.mul(noise(), added)), sigma: sigmaHat };
    },
  };
}

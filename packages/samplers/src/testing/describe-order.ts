import * as tf from '@tensorflow/tfjs-core';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { createSchedule, initialNoise, perItemNoise, samplingSigmas, type Denoiser } from '../index';
import {
  GAUSSIAN,
  gaussianDenoiser,
  gaussianEndPoints,
  measuredOrder,
  MIXTURE,
  mixtureDenoiser,
  mixtureEndPoint,
  smoothSigmas,
} from './oracles';

type Sample = (denoiser: Denoiser<tf.Tensor2D>, xT: tf.Tensor2D, sigmas: ArrayLike<number>) => Promise<tf.Tensor2D>;

const ORACLES = [
  {
    data: 'a Gaussian',
    denoiser: gaussianDenoiser(GAUSSIAN),
    endPoints: (x: ArrayLike<number>, sigma: number) => gaussianEndPoints(GAUSSIAN, x, sigma),
  },
  {
    data: 'a mixture of Gaussians',
    denoiser: mixtureDenoiser(MIXTURE) as Denoiser<tf.Tensor2D>,
    endPoints: (x: ArrayLike<number>, sigma: number) =>
      Float64Array.from(x, (value) => mixtureEndPoint(MIXTURE, value, sigma)),
  },
];

const noise = perItemNoise([1, 2, 3, 4, 5, 6, 7, 8]);

/** Root mean square distance of 16 samples from where the ODE takes them. */
async function errorOf(sample: Sample, oracle: (typeof ORACLES)[number], sigmas: Float64Array): Promise<number> {
  const xT = initialNoise<tf.Rank.R2>(noise, [8, 2], sigmas);
  const y = await sample(oracle.denoiser, xT, sigmas);
  const want = oracle.endPoints(xT.dataSync(), sigmas[0]!);
  const got = y.dataSync();
  tf.dispose([xT, y]);
  return Math.sqrt(want.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0) / want.length);
}

/** Where an order is measured. */
export type OrderMeasure = {
  /** Default 80, 160, 320: fewer for high orders, whose errors fall below float32 rounding. */
  readonly steps?: readonly number[];
  /** The list of so many steps. Default `smoothSigmas(10, steps)`. */
  readonly sigmas?: (steps: number) => Float64Array;
};

/** That a deterministic sampler goes to the end point of the probability-flow ODE, and with which order. */
export function describeSlope(label: string, sample: Sample, order: number, measure: OrderMeasure = {}): void {
  const { steps = [80, 160, 320], sigmas = (n: number) => smoothSigmas(10, n) } = measure;
  describe(`${label}: convergence to the exact end point of the ODE`, () => {
    beforeAll(() => setupBackend('cpu'));
    for (const oracle of ORACLES) {
      it(`for ${oracle.data}: measured order ${order}, within 0.2`, async () => {
        const errors: number[] = [];
        for (const n of steps) errors.push(await errorOf(sample, oracle, sigmas(n)));
        const measured = measuredOrder(steps, errors);
        expect(measured).toBeGreaterThan(order - 0.2);
        expect(measured).toBeLessThan(order + 0.2);
        expect(errors.at(-1)).toBeLessThan(0.01);
      });
    }
  });
}

/**
 * `describeSlope`, and the errors on SGDiff's schedule.
 *
 * @param readme Errors at 10, 20, 40 and 80 steps on SGDiff's schedule, as the README prints them.
 */
export function describeOrder(
  label: string,
  sample: Sample,
  order: number,
  readme: readonly number[],
  measure?: OrderMeasure,
): void {
  describeSlope(label, sample, order, measure);
  describe(`${label}: distance from the exact end point of the ODE`, () => {
    beforeAll(() => setupBackend('cpu'));
    // Spacing in t makes the last sigma fall as 1 / sqrt(steps) only, and the step from there to 0 leaves an error of
    // sigma^2: on these lists most methods are of first order in the end.
    it("on SGDiff's own schedule: the errors that the README prints, and below 0.005 at 1000 steps", async () => {
      const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
      const errors: number[] = [];
      for (const n of [10, 20, 40, 80, 1000]) {
        errors.push(await errorOf(sample, ORACLES[0]!, samplingSigmas(schedule, n)));
      }
      expect(errors.slice(0, 4)).toBeAllClose(readme, { rtol: 0, atol: 0.0006 }); // printed to three places
      expect(errors[4]).toBeLessThan(0.005);
    });
  });
}

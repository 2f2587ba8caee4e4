import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSchedule,
  denoiserFromModel,
  initialNoise,
  perItemNoise,
  sampleDpm2,
  sampleEuler,
  sampleHeun,
  samplingSigmas,
  type ChurnOptions,
  type Denoiser,
} from './index';
import { expectWithinErrors, momentsOf } from './testing/describe-law';
import { GAUSSIAN, gaussianDenoiser } from './testing/oracles';

const SAMPLERS = [
  { name: 'sampleEuler', sample: sampleEuler<tf.Tensor2D> },
  { name: 'sampleHeun', sample: sampleHeun<tf.Tensor2D> },
  { name: 'sampleDpm2', sample: sampleDpm2<tf.Tensor2D> },
];
const SCHEDULE = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));

describe.each(SAMPLERS)('churn in $name', ({ name, sample }) => {
  beforeAll(() => setupBackend('cpu'));

  /** First level the network is called at in each step. */
  async function hats(sigmas: readonly number[], options: ChurnOptions): Promise<number[]> {
    const seen: number[] = [];
    const xT = tf.ones([1, 1]) as tf.Tensor2D;
    const spy: Denoiser<tf.Tensor2D> = (x, sigma, { index }) => {
      seen[index] ??= sigma;
      return tf.mul(x, 0.5);
    };
    tf.dispose([xT, await sample(spy, xT, sigmas, { noise: perItemNoise([1]), ...options })]);
    return seen;
  }

  it('raises the noise by sChurn / steps, at most by sqrt(2) - 1, never above the first level, between sTmin and sTmax', async () => {
    const sigmas = [16, 8, 4, 2, 1, 0];
    const by = (gamma: number, at: readonly number[]) =>
      sigmas.slice(0, 5).map((sigma) => (at.includes(sigma) ? sigma * (1 + gamma) : sigma));
    expect(await hats(sigmas, { sChurn: 0 })).toEqual([16, 8, 4, 2, 1]);
    expect(await hats(sigmas, { sChurn: 1 })).toEqual(by(0.2, [8, 4, 2, 1]));
    expect(await hats(sigmas, { sChurn: 100 })).toEqual(by(Math.SQRT2 - 1, [8, 4, 2, 1]));
    expect(await hats(sigmas, { sChurn: 1, sTmin: 2, sTmax: 4 })).toEqual(by(0.2, [4, 2]));
    expect(await hats([10, 9, 1, 0], { sChurn: 100 })).toEqual([10, 10, Math.SQRT2, 0].slice(0, 3));
  });

  it('adds noise of just the variance that is missing, times sNoise', async () => {
    const inputs: number[] = [];
    const spy: Denoiser<tf.Tensor2D> = (x) => (inputs.push(x.dataSync()[0]!), tf.zerosLike(x));
    const noise = (shape: readonly number[]) => tf.ones([...shape]);
    const xT = tf.zeros([1, 1]) as tf.Tensor2D;
    tf.dispose([xT, await sample(spy, xT, [4, 1, 0], { noise, sChurn: 0.5, sNoise: 1.1 })]);
    expect(inputs.at(-1)).toBeCloseTo(1.1 * Math.sqrt(1.25 ** 2 - 1), 6); // sigma 1, raised by 0.5 / 2 steps
  });

  it('stays within the schedule of a network, where the first step would leave it', async () => {
    const denoiser = denoiserFromModel<tf.Tensor2D>((x) => tf.mul(x, 0.9), SCHEDULE, 'v');
    const sigmas = samplingSigmas(SCHEDULE, 12);
    const noise = perItemNoise([1]);
    const xT = initialNoise<tf.Rank.R2>(noise, [1, 2], sigmas);
    const y = await sample(denoiser, xT, sigmas, { noise, sChurn: 40 });
    expect(Array.from(y.dataSync()).every(Number.isFinite)).toBe(true);
    tf.dispose([xT, y]);
  });

  it('reproduces mean and covariance of a Gaussian within 5 standard errors of 4000 samples', async () => {
    const N = 4000;
    const noise = perItemNoise(Array.from({ length: N }, (_, item) => 5000 + item));
    const steps = name === 'sampleEuler' ? 150 : 40;
    const sigmas = Float64Array.from({ length: steps + 1 }, (_, i) => 20 * (1 - i / steps) ** 3);
    const xT = initialNoise<tf.Rank.R2>(noise, [N, 2], sigmas);
    const options = { noise, sChurn: 10, sTmin: 0.05, sTmax: 14 };
    const y = await sample(gaussianDenoiser(GAUSSIAN), xT, sigmas, options);
    expectWithinErrors(momentsOf(y.dataSync()), GAUSSIAN, N);
    tf.dispose([xT, y]);
  });

  it('draws no noise without sChurn, and asks for it with it', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    tf.dispose(await sample(soft, xT, [2, 1, 0]));
    await expect(sample(soft, xT, [2, 1, 0], { sChurn: 3 })).rejects.toThrow(
      `${name}: expected options.noise, which sChurn 3 needs, received none. Pass perItemNoise(seeds).`,
    );
    await expectNoLeak(() => sample(soft, xT, [2, 1, 0], { sChurn: 3, noise: () => tf.zeros([4]) }), {
      throws: `${name}: expected noise to return float32 of shape [1,2] at step 1 of 2 (sigma 1), received float32 of shape [4].`,
    });
    xT.dispose();
  });

  it('rejects settings that make no sense', async () => {
    const xT = tf.ones([1, 2]) as tf.Tensor2D;
    const failure = (options: ChurnOptions) => sample(soft, xT, [2, 1, 0], options).catch((e: Error) => e.message);
    for (const bad of [-1, NaN, Infinity]) {
      expect(await failure({ sChurn: bad })).toBe(
        `${name}: expected sChurn to be a finite number from 0, received ${bad}.`,
      );
      expect(await failure({ sTmin: bad })).toBe(
        `${name}: expected sTmin to be a finite number from 0, received ${bad}.`,
      );
      expect(await failure({ sNoise: bad })).toBe(
        `${name}: expected sNoise to be a finite number from 0, received ${bad}.`,
      );
    }
    expect(await failure({ sTmin: 2, sTmax: 1 })).toBe(
      `${name}: expected sTmax to be a number from sTmin, 2, received 1.`,
    );
    xT.dispose();
  });
});

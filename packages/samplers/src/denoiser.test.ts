import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  classifierFreeGuidance,
  createSchedule,
  denoiserFromModel,
  INITIAL_STEP,
  initialNoise,
  perItemNoise,
  sampleDdim,
  samplingSigmas,
  type Denoiser,
  type Prediction,
} from './index';

beforeAll(() => setupBackend('cpu'));

const SCHEDULE = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
const STEP = { index: 0, steps: 1 };

describe('denoiserFromModel', () => {
  it('finds x0 from a perfect prediction of eps, of v and of x0, at any timestep', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Prediction>('eps', 'v', 'x0'),
        fc.integer({ min: 0, max: 999 }),
        fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: 4, maxLength: 4 }),
        (prediction, t, values) =>
          tf.tidy(() => {
            const x0 = tf.tensor2d(values, [2, 2]);
            const eps = tf.tensor2d([0.3, -1.1, 0.8, 0.05], [2, 2]);
            const [alpha, noise] = [Math.sqrt(SCHEDULE.alphasCumprod[t]!), Math.sqrt(1 - SCHEDULE.alphasCumprod[t]!)];
            const answers = { eps, v: tf.sub<tf.Tensor2D>(tf.mul(eps, alpha), tf.mul(x0, noise)), x0 };
            const model = (xT: tf.Tensor2D, at: tf.Tensor1D) => {
              expect(xT).toBeAllClose(tf.add(tf.mul(x0, alpha), tf.mul(eps, noise)), { rtol: 1e-5, atol: 1e-5 });
              expect([at.shape, at.dtype, ...at.dataSync()]).toEqual([[2], 'float32', t, t]);
              return answers[prediction];
            };
            const x = tf.add<tf.Tensor2D>(x0, tf.mul(eps, SCHEDULE.sigmas[t]!));
            const found = denoiserFromModel(model, SCHEDULE, prediction)(x, SCHEDULE.sigmas[t]!, STEP);
            // float32: x0 is a difference of numbers as large as sigma, at most 84 here.
            expect(found).toBeAllClose(x0, { rtol: 1e-5, atol: 4e-7 * (1 + SCHEDULE.sigmas[t]!) });
          }),
      ),
      { numRuns: 60, seed: 2 },
    );
  });

  it('leaks nothing, also when the model throws', async () => {
    const x = tf.ones([2, 2]);
    for (const prediction of ['eps', 'v', 'x0'] as const) {
      const denoiser = denoiserFromModel((xT) => tf.mul(xT, 2), SCHEDULE, prediction);
      await expectNoLeak(() => denoiser(x, 1, STEP));
    }
    const broken = denoiserFromModel(
      (): tf.Tensor => {
        throw new Error('no weights');
      },
      SCHEDULE,
      'eps',
    );
    await expectNoLeak(() => broken(x, 1, STEP), { throws: 'no weights' });
    x.dispose();
  });

  it('refuses eps prediction for a schedule of zero terminal SNR, where eps is the input itself', () => {
    const zero = createSchedule({ kind: 'cosine', timesteps: 1000, zeroTerminalSnr: true });
    expect(() => denoiserFromModel((x) => x, zero, 'eps')).toThrow(
      "denoiserFromModel: expected prediction 'v' or 'x0' for a schedule of zero terminal SNR, received 'eps'. " +
        'At its last timestep eps is the input itself and tells nothing of x0.',
    );
  });

  it('with zero terminal SNR gives the network pure noise and the last timestep, and takes v to be -x0 there', () => {
    for (const kind of ['sqrt-linear', 'cosine'] as const) {
      const zero = createSchedule({
        kind,
        timesteps: 1000,
        betaStart: 0.0015,
        betaEnd: 0.0195,
        zeroTerminalSnr: true,
      });
      const sigmas = samplingSigmas(zero, 4);
      const noise = perItemNoise([3]);
      tf.tidy(() => {
        const xT = initialNoise<tf.Rank.R2>(noise, [1, 3], sigmas);
        const answer = tf.tensor2d([0.25, -1, 3], [1, 3]);
        const model = (seen: tf.Tensor2D, t: tf.Tensor1D) => {
          expect(seen).toBeAllClose(noise([1, 3], INITIAL_STEP), { rtol: 1e-6, atol: 1e-7 });
          expect(t.dataSync()[0]).toBe(999);
          return answer;
        };
        const found = (prediction: Prediction) => [
          ...denoiserFromModel(model, zero, prediction)(xT, sigmas[0]!, STEP).dataSync(),
        ];
        expect(found('v')).toEqual([-0.25, 1, -3]);
        expect(found('x0')).toEqual([0.25, -1, 3]);
      });
    }
  });

  it("refuses a network's answer that is not float32 of the shape of its input, for every prediction, rather than broadcast it", async () => {
    for (const prediction of ['eps', 'v', 'x0'] as const) {
      for (const B of [1, 2]) {
        const x = tf.ones([B, 3]) as tf.Tensor2D;
        const bad: readonly [make: () => unknown, received: string][] = [
          [() => tf.ones([B, 1]), `float32 of shape [${B},1]`],
          [() => tf.ones([1, 3, 3]), 'float32 of shape [1,3,3]'],
          [() => tf.ones([3]), 'float32 of shape [3]'],
          [() => tf.scalar(2), 'float32 of shape []'],
          [() => tf.ones([B, 5]), `float32 of shape [${B},5]`],
          [() => tf.ones([B, 3], 'int32'), `int32 of shape [${B},3]`],
          [() => 2, '2'],
          [() => undefined, 'undefined'],
        ];
        const remedy =
          ' It has to answer every item of its batch; with guidance those are the conditional ones, then the unconditional ones.';
        for (const [make, received] of bad) {
          const denoiser = denoiserFromModel(() => make() as tf.Tensor2D, SCHEDULE, prediction);
          const expected = `denoiserFromModel: expected the model to return float32 of shape [${B},3]`;
          await expectNoLeak(() => denoiser(x, 3, { index: 4, steps: 9 }), {
            throws: `${expected} at step 4 of 9 (sigma 3), received ${received}.${remedy}`,
          });
          await expectNoLeak(() => denoiser(x, 3, undefined as never), {
            throws: `${expected} at sigma 3, received ${received}.${remedy}`,
          });
        }
        const late = denoiserFromModel((async (xT: tf.Tensor2D) => xT) as never, SCHEDULE, prediction);
        expect(() => late(x, 3, STEP)).toThrow(`received [object Promise]. It must not be an async function.`);
        x.dispose();
      }
    }
  });

  it('regression: a network that answers the conditional items alone does not switch guidance off in silence', async () => {
    for (const prediction of ['eps', 'v', 'x0'] as const) {
      for (const B of [1, 2]) {
        const half = denoiserFromModel<tf.Tensor2D>((xT) => tf.slice(xT, 0, B), SCHEDULE, prediction);
        const guided = classifierFreeGuidance(half, { guidanceScale: 4 });
        const xT = tf.ones([B, 3]) as tf.Tensor2D;
        await expectNoLeak(() => sampleDdim(guided, xT, [2, 1, 0]), {
          throws: `denoiserFromModel: expected the model to return float32 of shape [${2 * B},3] at step 0 of 2 (sigma 2), received float32 of shape [${B},3].`,
        });
        xT.dispose();
      }
    }
  });

  it('says what is missing in plain JavaScript', () => {
    expect(() => denoiserFromModel(undefined as never, SCHEDULE, 'v')).toThrow(
      'denoiserFromModel: expected model to be a function (xT, t) => prediction, received undefined.',
    );
    expect(() => denoiserFromModel((x) => x, undefined as never, 'v')).toThrow(
      'denoiserFromModel: expected schedule to be an object, received undefined.',
    );
    expect(() => denoiserFromModel((x) => x, {} as never, 'v')).toThrow(
      'denoiserFromModel: expected schedule.sigmas to be a list, received undefined.',
    );
  });

  it('rejects an unknown prediction, and a sigma that the model never saw', () => {
    expect(() => denoiserFromModel((x) => x, SCHEDULE, 'epsilon' as 'eps')).toThrow(
      "denoiserFromModel: expected prediction to be one of 'eps', 'v', 'x0', received 'epsilon'.",
    );
    const denoiser = denoiserFromModel((x) => x, SCHEDULE, 'x0');
    expect(() => denoiser(tf.ones([1, 1]), 500, STEP)).toThrow(
      /^timestepOfSigma: expected sigma between .* received 500\./,
    );
  });
});

describe('classifierFreeGuidance', () => {
  /** Conditional items answer x + 1, unconditional ones x - 1. */
  const branches: Denoiser<tf.Tensor2D> = (x) =>
    tf.tidy(() => {
      const [conditional, unconditional] = tf.split(x, 2, 0) as [tf.Tensor2D, tf.Tensor2D];
      return tf.concat<tf.Tensor2D>([tf.add<tf.Tensor2D>(conditional, 1), tf.sub<tf.Tensor2D>(unconditional, 1)], 0);
    });

  it('is the conditional prediction at 1, the unconditional at 0, and beyond the conditional above 1', () => {
    tf.tidy(() => {
      const x = tf.tensor2d([0.5, 1.5, -2, 4], [2, 2]);
      for (const [guidanceScale, shift] of [
        [1, 1],
        [0, -1],
        [3, 5],
        [-1, -3],
      ] as const) {
        const guided = classifierFreeGuidance(branches, { guidanceScale })(x, 1, STEP);
        expect(guided).toBeAllClose(tf.add(x, shift), { rtol: 0, atol: 1e-6 });
      }
    });
  });

  it('calls the network once, with both branches in one batch and the same sigma and step', () => {
    tf.tidy(() => {
      const seen: unknown[] = [];
      const counted: Denoiser<tf.Tensor2D> = (x, sigma, step) => (
        seen.push([x.shape, sigma, step]),
        branches(x, sigma, step)
      );
      const step = { index: 3, steps: 9 };
      classifierFreeGuidance(counted, { guidanceScale: 2 })(tf.ones([2, 3]), 0.7, step);
      expect(seen).toEqual([[[4, 3], 0.7, step]]);
    });
  });

  it('guides x0 as it would guide eps', () => {
    tf.tidy(() => {
      const x = tf.tensor2d([0.5, -1], [1, 2]);
      const sigma = SCHEDULE.sigmas[400]!;
      const eps = { conditional: [0.2, -0.4], unconditional: [1.1, 0.3] };
      const model = () => tf.tensor2d([eps.conditional, eps.unconditional]);
      const guided = classifierFreeGuidance(denoiserFromModel(model, SCHEDULE, 'eps'), { guidanceScale: 4 })(
        x,
        sigma,
        STEP,
      );
      const guidedEps = eps.unconditional.map((u, i) => u + 4 * (eps.conditional[i]! - u));
      expect(guided).toBeAllClose(tf.sub(x, tf.mul(tf.tensor2d([guidedEps]), sigma)), { rtol: 1e-5, atol: 1e-5 });
    });
  });

  it('leaks nothing, also when the denoiser gives half a batch', async () => {
    const x = tf.ones([2, 3]) as tf.Tensor2D;
    await expectNoLeak(() => classifierFreeGuidance(branches, { guidanceScale: 2 })(x, 1, STEP));
    const half: Denoiser<tf.Tensor2D> = () => tf.zeros([2, 3]);
    const guided = classifierFreeGuidance(half, { guidanceScale: 2 });
    await expectNoLeak(() => guided(x, 1, STEP), {
      throws:
        'classifierFreeGuidance: expected the denoiser to return float32 of shape [4,3] at step 0 of 1 (sigma 1), received float32 of ' +
        'shape [2,3]. It is given the conditional items and then the unconditional ones, and has to answer both.',
    });
    x.dispose();
  });

  it('refuses an answer that is none, of its own denoiser and of that outside the interval', () => {
    const x = tf.ones([1, 3]) as tf.Tensor2D;
    const late = (async (y: tf.Tensor2D) => y) as never;
    expect(() => classifierFreeGuidance<tf.Tensor2D>(late, { guidanceScale: 2 })(x, 1, STEP)).toThrow(
      'classifierFreeGuidance: expected the denoiser to return float32 of shape [2,3] at step 0 of 1 (sigma 1), ' +
        'received [object Promise]. It must not be an async function.',
    );
    const options = { guidanceScale: 2, interval: [3, 4] as const, conditional: late };
    expect(() => classifierFreeGuidance<tf.Tensor2D>((y) => y, options)(x, 1, STEP)).toThrow(
      'classifierFreeGuidance: expected conditional to return float32 of shape [1,3] at step 0 of 1 (sigma 1), ' +
        'received [object Promise]. It must not be an async function.',
    );
    x.dispose();
  });

  it('rejects a scale that is not finite, and what is missing in plain JavaScript', () => {
    expect(() => classifierFreeGuidance(branches, { guidanceScale: '2' as never })).toThrow(
      "classifierFreeGuidance: expected guidanceScale to be a finite number, received '2'.",
    );
    expect(() => classifierFreeGuidance(branches, null as never)).toThrow(
      'classifierFreeGuidance: expected options to be an object, received null.',
    );
    expect(() => classifierFreeGuidance(undefined as never, { guidanceScale: 2 })).toThrow(
      'classifierFreeGuidance: expected denoiser to be a function (x, sigma, step) => x0, received undefined.',
    );
    expect(() => classifierFreeGuidance(branches, { guidanceScale: NaN })).toThrow(
      'classifierFreeGuidance: expected guidanceScale to be a finite number, received NaN.',
    );
  });
});

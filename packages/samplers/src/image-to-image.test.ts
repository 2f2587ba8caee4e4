import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSchedule,
  INITIAL_STEP,
  initialNoise,
  iterateDdim,
  iterateDdpm,
  iterateDpmSolverPp2m,
  iterateHeun,
  iterateImageToImage,
  perItemNoise,
  sampleDdim,
  sampleDdpm,
  sampleImageToImage,
  samplingSigmas,
  strengthSigmas,
  type Denoiser,
  type ImageToImageOptions,
  type SavedRun,
} from './index';
import { momentsOf, expectWithinErrors } from './testing/describe-law';
import { GAUSSIAN, gaussianDenoiser, gaussianEndPoints, smoothSigmas } from './testing/oracles';

type Tensor2D = tf.Tensor2D;
type Options = Partial<ImageToImageOptions<Tensor2D>>;

const noise = perItemNoise([5, 6]);
const SIGMAS = [8, 4, 2, 1, 0];
const soft: Denoiser<Tensor2D> = (x, sigma) => tf.tidy(() => tf.tanh(tf.div<Tensor2D>(x, 1 + sigma)));
const image = () => tf.tensor2d([0.3, -1.2, 0.9, 0.1], [2, 2]);

/** The result for a small image. */
async function run(options: Options, sigmas: ArrayLike<number> = SIGMAS, denoiser = soft): Promise<Tensor2D> {
  const x0 = image();
  try {
    return await sampleImageToImage(denoiser, x0, sigmas, { solver: iterateDdim, strength: 0.5, noise, ...options });
  } finally {
    x0.dispose();
  }
}

async function valuesOf(result: Promise<tf.Tensor>): Promise<number[]> {
  const tensor = await result;
  const values = Array.from(tensor.dataSync());
  tensor.dispose();
  return values;
}

describe('strengthSigmas', () => {
  it('is the end of the list: all of it at strength 1, its last level alone at 0, one step for any other at least', () => {
    const part = (strength: number) => [...strengthSigmas(SIGMAS, strength)];
    expect(part(1)).toEqual(SIGMAS);
    expect(part(0.75)).toEqual([4, 2, 1, 0]);
    expect(part(0.74)).toEqual([2, 1, 0]);
    expect(part(0.25)).toEqual([1, 0]);
    expect(part(1e-9)).toEqual([1, 0]);
    expect(part(0)).toEqual([0]);
  });

  it('takes floor(steps * strength) steps for every whole percentage and step count, where that product rounds down, too', () => {
    for (let steps = 1; steps <= 100; steps++) {
      const sigmas = smoothSigmas(10, steps);
      for (let percent = 1; percent <= 100; percent++) {
        const exact = Math.floor((steps * percent) / 100); // of whole numbers: no rounding
        expect(strengthSigmas(sigmas, percent / 100).length - 1).toBe(Math.max(1, exact));
      }
    }
    expect(Math.floor(100 * 0.29)).toBe(28); // what diffusers runs
  });

  it('refuses a strength that is none', () => {
    for (const strength of [-0.1, 1.1, NaN, Infinity]) {
      expect(() => strengthSigmas(SIGMAS, strength)).toThrow(
        `strengthSigmas: expected strength to be a number from 0, the image itself, to 1, noise alone, received ${strength}.`,
      );
    }
  });
});

describe('sampleImageToImage', () => {
  beforeAll(() => setupBackend('cpu'));

  it('is the image itself at strength 0, without a call or a draw, and a run from noise at strength 1, to the last bit', async () => {
    const never = () => {
      throw new Error('called');
    };
    expect(await valuesOf(run({ strength: 0, noise: never }, SIGMAS, never))).toEqual(
      await valuesOf(Promise.resolve(image())),
    );
    for (const [solver, sample] of [
      [iterateDdim, sampleDdim],
      [iterateDdpm, sampleDdpm],
    ] as const) {
      const xT = initialNoise<tf.Rank.R2>(noise, [2, 2], SIGMAS);
      const fromNoise = await valuesOf(sample(soft, xT, SIGMAS, { noise }));
      xT.dispose();
      expect(await valuesOf(run({ solver, strength: 1 }))).toEqual(fromNoise);
    }
  });

  it('starts at x0 + sigma * noise, with the noise that a run from noise starts from', async () => {
    const seen: number[][] = [];
    await valuesOf(run({}, SIGMAS, (x, sigma, step) => (seen.push([sigma, ...x.dataSync()]), soft(x, sigma, step))));
    const drawn = noise([2, 2], INITIAL_STEP);
    const start = tf.add(image(), tf.mul(drawn, 2));
    expect(seen[0]).toEqual([2, ...start.dataSync()]);
    expect(seen.map(([sigma]) => sigma)).toEqual([2, 1]);
  });

  it('goes to the end point of the ODE from there: closed form of a Gaussian', async () => {
    const seeds = Array.from({ length: 64 }, (_, item) => 100 + item);
    const own = perItemNoise(seeds);
    const x0 = tf.tile(tf.tensor2d([1.5, -2], [1, 2]), [64, 1]);
    const sigmas = smoothSigmas(10, 200);
    for (const strength of [0.2, 0.5, 0.9]) {
      const [sigma] = strengthSigmas(sigmas, strength);
      const start = tf.add(x0, tf.mul(own([64, 2], INITIAL_STEP), sigma!));
      const want = gaussianEndPoints(GAUSSIAN, start.dataSync(), sigma!);
      const options = { solver: iterateHeun, strength, noise: own };
      const got = await valuesOf(sampleImageToImage<Tensor2D>(gaussianDenoiser(GAUSSIAN), x0, sigmas, options));
      expect(got).toBeAllClose(want, { rtol: 0, atol: 1e-3 }); // second order in 40 steps and more
    }
  });

  it('keeps of the image what a Gaussian keeps under noise: mean and covariance of what it draws', async () => {
    // x0 fixed, from sigma by the ODE: a draw of N(m + A (x0 - m), sigma^2 A A), A = (C (C + sigma^2)^-1)^(1/2).
    const N = 4000;
    const own = perItemNoise(Array.from({ length: N }, (_, item) => 1000 + item));
    const sigmas = smoothSigmas(10, 100);
    const [sigma] = strengthSigmas(sigmas, 0.3);
    const at = (x: number, y: number) => [...gaussianEndPoints(GAUSSIAN, [x, y], sigma!)] as [number, number];
    const zero = at(0, 0);
    const [ax, ay] = [at(1, 0), at(0, 1)].map(([x, y]) => [x - zero[0], y - zero[1]] as const);
    const law = {
      mean: at(1.5, -2),
      cov: [
        sigma! ** 2 * (ax![0] ** 2 + ay![0] ** 2),
        sigma! ** 2 * (ax![0] * ax![1] + ay![0] * ay![1]),
        sigma! ** 2 * (ax![1] ** 2 + ay![1] ** 2),
      ] as [number, number, number],
    };
    const x0 = tf.tile(tf.tensor2d([1.5, -2], [1, 2]), [N, 1]);
    const options = { solver: iterateHeun, strength: 0.3, noise: own };
    const y = await sampleImageToImage<Tensor2D>(gaussianDenoiser(GAUSSIAN), x0, sigmas, options);
    expectWithinErrors(momentsOf(y.dataSync()), law, N);
  });

  it('moves further from the image the higher the strength', async () => {
    const sigmas = samplingSigmas(
      createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 }),
      20,
    );
    const N = 200;
    const own = perItemNoise(Array.from({ length: N }, (_, item) => item));
    const x0 = tf.tile(tf.tensor2d([1, 0.2], [1, 2]), [N, 1]);
    const distances: number[] = [];
    for (const strength of [0, 0.2, 0.4, 0.6, 0.8]) {
      const options = { solver: iterateDpmSolverPp2m, strength, noise: own };
      const y = await sampleImageToImage<Tensor2D>(gaussianDenoiser(GAUSSIAN), x0, sigmas, options);
      distances.push(tf.mean(tf.square(tf.sub(y, x0))).dataSync()[0]!);
    }
    expect(distances[0]).toBe(0);
    for (let i = 1; i < distances.length; i++) expect(distances[i]).toBeGreaterThan(distances[i - 1]!);
  });

  it('tells its steps to onStep and to the loop, can be saved and gone on with, to the byte', async () => {
    const saved: SavedRun[] = [];
    const told: number[][] = [];
    const solver = iterateDpmSolverPp2m;
    const result = await valuesOf(
      run({
        solver,
        strength: 1,
        onStep: async ({ index, steps, sigma, save }) => {
          told.push([index, steps, sigma]);
          saved.push(await save());
        },
      }),
    );
    expect(told).toEqual([8, 4, 2, 1].map((sigma, index) => [index, 4, sigma]));
    expect(await valuesOf(run({ solver, strength: 1, resume: structuredClone(saved[1]!) }))).toEqual(result);
    const looped: number[] = [];
    for await (const { sigma } of iterateImageToImage(soft, image(), SIGMAS, { solver, strength: 0.5, noise }))
      looped.push(sigma);
    for await (const { sigma } of iterateImageToImage(soft, image(), SIGMAS, { solver, strength: 0 }))
      looped.push(sigma); // no step
    expect(looped).toEqual([2, 1]);
  });

  it('does not blame the network for an image that is not finite, whatever the strength', async () => {
    for (const strength of [0, 0.5, 1]) {
      const x0 = tf.fill([2, 2], NaN) as Tensor2D;
      const options = { solver: iterateDdim, strength, noise };
      await expectNoLeak(() => sampleImageToImage<Tensor2D>(soft, x0, SIGMAS, options), {
        throws: 'sampleImageToImage: expected x0 to hold finite numbers, received NaN.',
      });
      x0.dispose();
    }
  });

  it('says what is missing in plain JavaScript', async () => {
    const gone = image();
    gone.dispose();
    const options = { solver: iterateDdim, strength: 0.5, noise };
    await expectNoLeak(() => sampleImageToImage<Tensor2D>(soft, gone, SIGMAS, options), {
      throws:
        'sampleImageToImage: expected x0 to be a float32 batch [B, …], received a disposed tensor, float32 of shape [2,2].',
    });
    await expectNoLeak(() => run({ strength: '0.5' as never }), { throws: "1, noise alone, received '0.5'." });
    await expectNoLeak(() => run({ noise: () => tf.ones([1, 2]) }), {
      throws:
        'sampleImageToImage: expected noise to return float32 of shape [2,2] at sigma 2, received float32 of shape [1,2].',
    });
    await expectNoLeak(() => run({ noise: 3 as never }), {
      throws: 'sampleImageToImage: expected options.noise to be a function as from perItemNoise(seeds), received 3.',
    });
    expect(() => strengthSigmas(undefined as never, 0.5)).toThrow(
      'strengthSigmas: expected sigmas to be a list, received undefined.',
    );
  });

  it('lets the image be disposed as soon as it was called', async () => {
    const result = await valuesOf(run({}));
    const x0 = image();
    const running = sampleImageToImage(soft, x0, SIGMAS, { solver: iterateDdim, strength: 0.5, noise });
    x0.dispose();
    expect(await valuesOf(running)).toEqual(result);
  });

  it('frees everything: when done, left, aborted, and on bad arguments', async () => {
    await expectNoLeak(() => run({}));
    await expectNoLeak(() => run({ strength: 0 }));
    await expectNoLeak(async () => {
      const x0 = image();
      for await (const _ of iterateImageToImage(soft, x0, SIGMAS, { solver: iterateDdim, strength: 1, noise })) break;
      x0.dispose();
    });
    const throwing = (options: Options, throws: string, sigmas?: ArrayLike<number>) =>
      expectNoLeak(() => run(options, sigmas), { throws });
    await throwing(
      { noise: undefined as never },
      'sampleImageToImage: expected options.noise, which strength 0.5 needs, received none. Pass perItemNoise(seeds).',
    );
    await throwing(
      { strength: 2 },
      'sampleImageToImage: expected strength to be a number from 0, the image itself, to 1, noise alone, received 2.',
    );
    await throwing({ signal: AbortSignal.abort() }, 'sampleImageToImage: aborted before the first step.');
    await throwing({ signal: AbortSignal.abort(), strength: 0 }, 'sampleImageToImage: aborted before the first step.');
    await throwing({ onStep: () => Promise.reject(new Error('stop')) }, 'stop');
    await throwing(
      {},
      'iterateDdim: expected sigmas that fall with every step, received sigmas[0] = 1 and then sigmas[1] = 2.',
      [3, 2, 1, 2, 0],
    );
    await expectNoLeak(
      async () => {
        const x0 = tf.ones([2, 2], 'int32');
        try {
          await sampleImageToImage(soft as Denoiser, x0, SIGMAS, { solver: iterateDdim, strength: 0.5, noise });
        } finally {
          x0.dispose();
        }
      },
      { throws: 'sampleImageToImage: expected x0 to be a float32 batch [B, …], received int32 of shape [2,2].' },
    );
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  initialNoise,
  iterateDdim,
  iterateHeun,
  iterateInpainting,
  iterateRestart,
  perItemNoise,
  sampleDdim,
  sampleInpainting,
  type Denoiser,
  type InpaintingOptions,
  type Restart,
  type SavedRun,
} from './index';
import { momentsOf } from './testing/describe-law';
import { describeSampler } from './testing/describe-sampler';
import { GAUSSIAN, gaussianDenoiser, smoothSigmas } from './testing/oracles';
import { SOLVERS } from './testing/solvers';

type Tensor2D = tf.Tensor2D;
type Tensor4D = tf.Tensor4D;

// With nothing known it is its solver.
describeSampler('Inpainting of everything', {
  name: 'iterateDdim',
  savedBy: 'sampleInpainting',
  sample: async (denoiser, xT, sigmas, options) => {
    const region = nothingFor(xT);
    try {
      return await sampleInpainting(denoiser, xT, sigmas, { ...options, ...region, solver: iterateDdim });
    } finally {
      tf.dispose(region);
    }
  },
  async *iterate(denoiser, xT, sigmas, options) {
    const region = nothingFor(xT);
    try {
      yield* iterateInpainting(denoiser, xT, sigmas, { ...options, ...region, solver: iterateDdim });
    } finally {
      tf.dispose(region);
    }
  },
});

/** What is known is of the shape of the data, whatever that is. */
function nothingFor(xT: Tensor2D): { known: Tensor2D; mask: tf.Tensor } {
  return { known: tf.zeros(xT.shape, 'float32'), mask: tf.ones(xT.shape.map(() => 1)) };
}

const SHAPE = [2, 4, 3, 2] as const; // B, h, w, C
const noise = perItemNoise([21, 22]);
const SIGMAS = [8, 4, 2, 1, 0];
const soft: Denoiser<Tensor4D> = (x, sigma) => tf.tidy(() => tf.tanh(tf.div<Tensor4D>(x, 1 + sigma)));
const knownImage = () => tf.tidy(() => tf.mul<Tensor4D>(noise([...SHAPE], 99) as Tensor4D, 0.7));
/** The upper half stays, then a soft row, then what is drawn anew; the second item the other way round. */
const softMask = () =>
  tf.tensor4d([0, 0, 0, 0, 0, 0, 0.5, 0.5, 0.25, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0, 0, 0, 0, 0, 0], [2, 4, 3, 1]);

async function run(options: Partial<InpaintingOptions<Tensor4D>> = {}, denoiser = soft): Promise<Tensor4D> {
  const own = { known: knownImage(), mask: softMask(), xT: initialNoise<tf.Rank.R4>(noise, [...SHAPE], SIGMAS) };
  try {
    const { xT, ...region } = own;
    return await sampleInpainting(denoiser, xT, SIGMAS, { solver: iterateDdim, noise, ...region, ...options });
  } finally {
    tf.dispose(own);
  }
}

describe('sampleInpainting', () => {
  beforeAll(() => setupBackend('cpu'));

  it('gives what is known back to the last bit, and draws the rest, with every solver', async () => {
    const known = knownImage();
    const stays = Array.from(tf.equal(tf.tile(softMask(), [1, 1, 1, 2]), 0).dataSync());
    const want = known.dataSync();
    for (const { name, iterate } of SOLVERS) {
      const result = await run({ solver: iterate as never });
      const got = result.dataSync();
      const differing = stays.filter((stay, i) => stay && got[i] !== want[i]).length;
      expect([name, differing]).toEqual([name, 0]);
      expect(stays.some((stay, i) => !stay && Math.abs(got[i]! - want[i]!) > 0.01)).toBe(true);
      result.dispose();
    }
  });

  it('does so under restarts, and of the other backends on wasm', async () => {
    const restarts: Restart[] = [{ sigmaMin: 1, sigmaMax: 4, times: 2, steps: 2 }];
    const solver: InpaintingOptions<Tensor4D>['solver'] = (d, x, s, o) =>
      iterateRestart(d, x, s, { ...o, solver: iterateDdim, restarts });
    const onCpu = await run({ solver });
    const values = Array.from(onCpu.dataSync());
    const known = Array.from(knownImage().dataSync());
    expect(values.slice(0, 12)).toEqual(known.slice(0, 12));
    await setupBackend('wasm');
    const onWasm = await run({ solver });
    expect(Array.from(onWasm.dataSync())).toBeAllClose(values, { rtol: 1e-5, atol: 1e-5 });
    expect(Array.from(onWasm.dataSync()).slice(0, 12)).toEqual(known.slice(0, 12));
    await setupBackend('cpu');
  });

  it('without noise holds what is known at known + sigma * eps, eps being that of the start, at every level', async () => {
    const known = knownImage();
    const xT = initialNoise<tf.Rank.R4>(noise, [...SHAPE], SIGMAS);
    const eps = tf.div(tf.sub(xT, known), SIGMAS[0]!);
    let steps = 0;
    for (const { name, iterate } of SOLVERS.filter(({ name }) =>
      /^(ddim|euler|heun|dpm2|lms|unipc|deis|plms|dpm-solver\+\+ 2m)$/.test(name),
    )) {
      const options = { solver: iterate as never, known, mask: softMask() };
      for await (const { x, sigmaNext } of iterateInpainting(soft, xT, SIGMAS, options)) {
        const want = tf.add(known, tf.mul(eps, sigmaNext));
        const [got, expected] = [x, want].map((tensor) => Array.from(tensor.dataSync()).slice(0, 12)); // item 0, upper half
        expect(got, name).toBeAllClose(expected!, { rtol: 0, atol: 2e-5 }); // float32, of levels up to 8
        steps++;
      }
    }
    expect(steps).toBe(9 * 4);
  });

  it('with noise holds it in the law of known + sigma * eps: mean and variance after each step of DDPM', async () => {
    const N = 4000;
    const own = perItemNoise(Array.from({ length: N }, (_, item) => item));
    const known = tf.fill([N, 2], 0.6) as Tensor2D;
    const mask = tf.tensor2d([0, 1], [1, 2]);
    const sigmas = [5, 3, 2, 1, 0.5, 0];
    const xT = tf.add<Tensor2D>(known, tf.mul(own([N, 2], -1), 5));
    const solver: InpaintingOptions<Tensor2D>['solver'] = (d, x, s, o) => iterateDdim(d, x, s, { ...o, eta: 1 });
    const options = { solver, known, mask, noise: own };
    for await (const { x, sigmaNext } of iterateInpainting(gaussianDenoiser(GAUSSIAN), xT, sigmas, options)) {
      const { mean, cov } = momentsOf(x.dataSync());
      expect(Math.abs(mean[0] - 0.6)).toBeLessThanOrEqual((5 * sigmaNext) / Math.sqrt(N) + 1e-6);
      expect(Math.abs(cov[0] - sigmaNext ** 2)).toBeLessThanOrEqual(5 * sigmaNext ** 2 * Math.sqrt(2 / N) + 1e-9);
    }
  });

  it('draws the rest of a Gaussian to what is known: near the conditional law, and nearer with resampling', async () => {
    // The first number is known to be 2; the second then has mean -0.4 + 0.3 / 0.5 (2 - 0.7) = 0.38, variance 0.8 - 0.3^2 / 0.5 = 0.62.
    const N = 1000;
    const own = perItemNoise(Array.from({ length: N }, (_, item) => item));
    const known = tf.tile(tf.tensor2d([2, 0], [1, 2]), [N, 1]);
    const mask = tf.tensor2d([0, 1], [1, 2]);
    const sigmas = smoothSigmas(10, 30);
    const xT = initialNoise<tf.Rank.R2>(own, [N, 2], sigmas);
    const law = async (times: number) => {
      const restarts = [{ sigmaMin: 0.1, sigmaMax: 0.4, times, steps: 4 }];
      const solver: InpaintingOptions<Tensor2D>['solver'] = (d, x, s, o) =>
        iterateRestart(d, x, s, { ...o, solver: iterateHeun, restarts });
      const y = await sampleInpainting(gaussianDenoiser(GAUSSIAN), xT, sigmas, { solver, known, mask, noise: own });
      const { mean, cov } = momentsOf(y.dataSync());
      y.dispose();
      return { mean: mean[1], variance: cov[2] };
    };
    const [plain, resampled] = [await law(0), await law(30)];
    // Of the way from the mean of all, -0.4, to the conditional mean: as the README has it, and it is the same to every digit on cpu.
    const way = (mean: number) => (100 * (mean + 0.4)) / (0.38 + 0.4);
    expect(Math.abs(way(plain.mean) - 29)).toBeLessThan(0.5);
    expect(Math.abs(way(resampled.mean) - 87)).toBeLessThan(0.5);
    expect(Math.abs(resampled.variance - 0.62)).toBeLessThan(0.15 + 5 * 0.62 * Math.sqrt(2 / N));
    expect(Math.abs(resampled.variance - 0.62)).toBeLessThan(Math.abs(plain.variance - 0.62));
  });

  it('calls the network as its solver does, and asks it at the blended state', async () => {
    const levels: number[] = [];
    (await run({}, (x, sigma, step) => (levels.push(sigma), soft(x, sigma, step)))).dispose();
    expect(levels).toEqual([8, 4, 2, 1]);
  });

  it('shows onStep the finished result, may be given another state, and lets its tensors be disposed during the run', async () => {
    const known = knownImage();
    const mask = softMask();
    const xT = initialNoise<tf.Rank.R4>(noise, [...SHAPE], SIGMAS);
    let last: number[] = [];
    const result = await sampleInpainting(soft, xT, SIGMAS, {
      solver: iterateDdim,
      known,
      mask,
      onStep({ index, x }) {
        if (index === 0) tf.dispose([known, mask]);
        last = Array.from(x.dataSync());
      },
    });
    expect(Array.from(result.dataSync())).toEqual(last);
    const ones = await run({ onStep: ({ index }) => (index === 3 ? { x: tf.ones([...SHAPE]) } : undefined) });
    expect(Array.from(ones.dataSync())).toEqual(Array(48).fill(1));
    tf.dispose([result, ones, xT]);
  });

  it('blends by the mask along a soft edge: mask of the prediction, the rest of what is known', async () => {
    const known = tf.fill([1, 1, 1, 5], 2) as Tensor4D;
    const mask = tf.tensor4d([0, 0.25, 0.5, 0.75, 1], [1, 1, 1, 5]);
    const xT = tf.zeros([1, 1, 1, 5]) as Tensor4D;
    const ten: Denoiser<Tensor4D> = (x) => tf.fill(x.shape, 10);
    for await (const { x0 } of iterateInpainting(ten, xT, SIGMAS, { solver: iterateDdim, known, mask })) {
      expect(x0).toBeAllClose([2, 4, 6, 8, 10], { rtol: 0, atol: 1e-6 });
    }
    tf.dispose([known, mask, xT]);
  });

  it('is saved under its own name and gone on with, to the byte, from a step of the loop as from one of onStep', async () => {
    let saved: unknown;
    const whole = await run({ onStep: async ({ index, save }) => void (index === 1 && (saved = await save())) });
    expect(saved).toMatchObject({
      solver: 'inpainting',
      settings: { within: { solver: 'ddim', settings: { eta: 0 } } },
    });
    const resumed = await run({ resume: structuredClone(saved) as never });
    expect(Array.from(resumed.dataSync())).toEqual(Array.from(whole.dataSync()));
    const [known, mask, xT] = [knownImage(), softMask(), initialNoise<tf.Rank.R4>(noise, [...SHAPE], SIGMAS)];
    for await (const step of iterateInpainting(soft, xT, SIGMAS, { solver: iterateDdim, noise, known, mask })) {
      if (step.index === 1) expect(await step.save()).toEqual(saved);
    }
    tf.dispose([whole, resumed, known, mask, xT]);
  });

  it('refuses to go on with another mask, known data or method within; and a plain sampler refuses its run', async () => {
    let saved: SavedRun | undefined;
    (await run({ onStep: async ({ index, save }) => void (index === 1 && (saved = await save())) })).dispose();
    const refused = async (make: () => Partial<InpaintingOptions<Tensor4D>>, throws: string | RegExp) => {
      const options = make();
      await expectNoLeak(() => run({ ...options, resume: saved }), { throws });
      tf.dispose(Object.values(options).filter((value) => value instanceof tf.Tensor));
    };
    const start = 'sampleInpainting: expected options.resume to be a run with';
    await refused(
      () => ({ mask: tf.ones([2, 4, 3, 1]) }),
      new RegExp(`^${start} mask \\d+, as this one, received one with mask \\d+\\.$`),
    );
    await refused(() => ({ mask: tf.tidy(() => tf.reverse(softMask(), 1)) }), `${start} mask`); // the same numbers elsewhere
    await refused(() => ({ known: tf.tidy(() => tf.neg(knownImage())) }), `${start} known`); // only signs turned
    await refused(
      () => ({ solver: iterateHeun }),
      'iterateHeun: expected options.resume to be a run of heun, received one of ddim.',
    );
    const xT = tf.zeros([...SHAPE]) as Tensor4D;
    await expectNoLeak(() => sampleDdim(soft, xT, SIGMAS, { resume: saved }), {
      throws: 'sampleDdim: expected options.resume to be a run of ddim, received one of inpainting.',
    });
    xT.dispose();
    await refused(() => ({}), /^$/).then(
      () => expect.unreachable(),
      (error: Error) => expect(error.message).toContain('but it returned'), // as it was, it goes on
    );
    const within = { ...saved!.settings, within: undefined };
    saved = { ...saved!, settings: within };
    await refused(
      () => ({}),
      'sampleInpainting: expected options.resume to be complete, with settings.within, received undefined.',
    );
  });

  it('does not blame the network for known data that are not finite', async () => {
    for (const value of [NaN, Infinity]) {
      const known = tf.fill([...SHAPE], value) as Tensor4D;
      await expectNoLeak(() => run({ known }), {
        throws: `sampleInpainting: expected options.known to hold finite numbers, received ${value}.`,
      });
      known.dispose();
    }
  });

  it('says what is missing in plain JavaScript', async () => {
    await expectNoLeak(() => run({ known: undefined as never }), {
      throws: 'sampleInpainting: expected options.known to be float32 of shape [2,4,3,2], received undefined.',
    });
    await expectNoLeak(() => run({ mask: undefined as never }), {
      throws: 'sampleInpainting: expected options.mask to be float32 of shape [2,4,3,1], received undefined.',
    });
    const gone = tf.ones([2, 4, 3, 1]);
    gone.dispose();
    await expectNoLeak(() => run({ mask: gone }), {
      throws:
        'sampleInpainting: expected options.mask to be float32 of shape [2,4,3,1], received a disposed tensor, float32 of shape [2,4,3,1].',
    });
  });

  it('frees everything, also for a mask or known data of another size, kind or range', async () => {
    await expectNoLeak(() => run());
    const refused = (make: () => Partial<InpaintingOptions<Tensor4D>>, throws: string) =>
      expectNoLeak(
        async () => {
          const options = make();
          try {
            return await run(options);
          } finally {
            tf.dispose(Object.values(options).filter((value) => value instanceof tf.Tensor));
          }
        },
        { throws },
      );
    const maskOf = (shape: number[], dtype: 'float32' | 'bool' = 'float32') => ({ mask: tf.ones(shape, dtype) });
    const want = 'sampleInpainting: expected options.mask to be float32 of shape [2,4,3,1], received';
    await refused(() => maskOf([2, 8, 6, 1]), `${want} float32 of shape [2,8,6,1].`);
    await refused(() => maskOf([2, 1, 3, 1]), `${want} float32 of shape [2,1,3,1].`);
    await refused(() => maskOf([4, 3]), `${want} float32 of shape [4,3].`);
    await refused(() => maskOf([3, 4, 3, 1]), `${want} float32 of shape [3,4,3,1].`);
    await refused(() => maskOf([2, 4, 3, 1], 'bool'), `${want} bool of shape [2,4,3,1].`);
    await refused(
      () => ({ known: tf.ones([2, 4, 3, 1]) as Tensor4D }),
      'sampleInpainting: expected options.known to be float32 of shape [2,4,3,2], received float32 of shape [2,4,3,1].',
    );
    for (const value of [1.5, -0.5, NaN]) {
      await refused(
        () => ({ mask: tf.fill([1, 4, 3, 1], value) }),
        `sampleInpainting: expected options.mask to be from 0, what stays, to 1, what is drawn anew, received ${value}.`,
      );
    }
    await expectNoLeak(() => run({ signal: AbortSignal.abort() }), {
      throws: 'iterateDdim: aborted before the first step.',
    });
    await expectNoLeak(() => run({}, () => tf.zeros([2, 4, 3, 1]) as Tensor4D), {
      throws:
        'iterateDdim: expected the denoiser to return float32 of shape [2,4,3,2] at step 0 of 4 (sigma 8), received float32 of shape [2,4,3,1].',
    });
    await expectNoLeak(() => run({}, (x) => tf.fill(x.shape, NaN)), {
      throws: 'iterateDdim: the denoiser returned NaN or infinity at step 0 of 4 (sigma 8)',
    });
  });

  it('takes one mask for the whole batch, and one with a value for each channel', async () => {
    const one = await run({ mask: tf.zeros([1, 4, 3, 1]) });
    const each = await run({ mask: tf.zeros([...SHAPE]) });
    const known = Array.from(knownImage().dataSync());
    expect(Array.from(one.dataSync())).toEqual(known);
    expect(Array.from(each.dataSync())).toEqual(known);
  });
});

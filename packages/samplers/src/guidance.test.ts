import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  classifierFreeGuidance,
  createSchedule,
  denoiserFromModel,
  dynamicThresholding,
  sampleDdim,
  staticThresholding,
  type Denoiser,
  type GuidanceOptions,
  type Prediction,
} from './index';

type Golden = {
  shape: [number, number, number, number];
  guidanceScale: number;
  conditional: number[];
  unconditional: number[];
  rescaled: { rescale: number; values: number[] }[];
  scaledBy: number;
  thresholded: { percentile: number; max: number; values: number[] }[];
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/guidance.golden.json');
const STEP = { index: 0, steps: 1 };
const SCHEDULE = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });

/** Both branches of the golden file, as a network would give them. */
const both = () =>
  tf.tensor4d([...golden.conditional, ...golden.unconditional], [4, ...golden.shape.slice(1)] as [
    number,
    number,
    number,
    number,
  ]);

describe.each(['cpu', 'wasm'] as const)('guidance and thresholding of diffusers, on %s', (backend) => {
  beforeAll(() => setupBackend(backend));
  const { guidanceScale } = golden;

  const scaled: Denoiser<tf.Tensor4D> = () => tf.mul(tf.slice(both(), 0, 2), golden.scaledBy);

  it('agree: rescale_noise_cfg on the output of a network that predicts x0, v or eps', () => {
    for (const prediction of ['x0', 'v', 'eps'] as const) {
      for (const t of [3, 400, 999]) {
        for (const { rescale, values } of golden.rescaled) {
          tf.tidy(() => {
            const sigma = SCHEDULE.sigmas[t]!;
            const start = tf.randomNormal<tf.Rank.R4>(golden.shape, 0, 1, 'float32', 1);
            const x = tf.mul<tf.Tensor4D>(start, Math.sqrt(1 + sigma ** 2));
            const guided = classifierFreeGuidance(denoiserFromModel<tf.Tensor4D>(both, SCHEDULE, prediction), {
              guidanceScale,
              rescale,
              rescaleOf: prediction,
            })(x, sigma, STEP);
            const want = tf.tensor4d(values, golden.shape); // their output, as x0
            const found = denoiserFromModel(() => want, SCHEDULE, prediction)(x, sigma, STEP);
            expect(guided).toBeAllClose(found, { rtol: 2e-5, atol: 2e-5 * (1 + sigma) }); // float32 sums as large as sigma
          });
        }
      }
    }
  });

  it('agree: _threshold_sample', () => {
    for (const { percentile, max, values } of golden.thresholded) {
      tf.tidy(() => {
        const thresholded = dynamicThresholding(scaled, { percentile, max })(
          tf.zeros<tf.Rank.R4>(golden.shape),
          1,
          STEP,
        );
        expect(thresholded).toBeAllClose(tf.tensor4d(values, golden.shape), { rtol: 1e-6, atol: 1e-6 });
      });
    }
  });
});

describe('guidance with rescale', () => {
  beforeAll(() => setupBackend('cpu'));
  const { guidanceScale } = golden;

  it('is none at 0, and at 1 gives each item the spread of its conditional prediction', () => {
    tf.tidy(() => {
      const x = tf.zeros<tf.Rank.R4>(golden.shape);
      const plain = classifierFreeGuidance(both, { guidanceScale })(x, 1, STEP);
      expect(classifierFreeGuidance(both, { guidanceScale, rescale: 0 })(x, 1, STEP)).toBeAllClose(plain, {
        rtol: 0,
        atol: 0,
      });
      const full = classifierFreeGuidance(both, { guidanceScale, rescale: 1 })(x, 1, STEP);
      const spread = (of: tf.Tensor) => tf.sqrt(tf.moments(of, [1, 2, 3]).variance);
      expect(spread(full)).toBeAllClose(spread(tf.slice(both(), 0, 2)), { rtol: 1e-5, atol: 0 });
    });
  });

  it('leaves an item alone that guidance made flat, where a ratio of spreads does not exist', () => {
    const flat: Denoiser<tf.Tensor2D> = () => tf.tensor2d([3, 3, 3, 1, 1, 1], [2, 3]);
    tf.tidy(() => {
      const guided = classifierFreeGuidance(flat, { guidanceScale: 2, rescale: 0.7 })(tf.zeros([1, 3]), 1, STEP);
      expect(Array.from(guided.dataSync())).toEqual([5, 5, 5]);
    });
  });

  it('treats every item by itself', () => {
    tf.tidy(() => {
      const options = { guidanceScale, rescale: 0.7 };
      const together = classifierFreeGuidance(both, options)(tf.zeros<tf.Rank.R4>(golden.shape), 1, STEP);
      const second = () => tf.gather(both(), [1, 3]);
      const alone = classifierFreeGuidance(second, options)(tf.zeros([1, 2, 3, 2]), 1, STEP);
      expect(tf.slice(together, 1, 1)).toBeAllClose(alone, { rtol: 0, atol: 0 });
    });
  });
});

describe('guidance in an interval', () => {
  beforeAll(() => setupBackend('cpu'));
  const branches: Denoiser<tf.Tensor2D> = (x) =>
    tf.concat<tf.Tensor2D>([tf.fill([x.shape[0] / 2, 2], 1), tf.fill([x.shape[0] / 2, 2], 0)], 0);
  const at = (sigma: number, options: Partial<GuidanceOptions<tf.Tensor2D>>) =>
    tf.tidy(() =>
      classifierFreeGuidance(branches, { guidanceScale: 3, ...options })(tf.zeros([1, 2]), sigma, STEP).dataSync(),
    )[0];

  it('guides above its first level and up to its second, and is the conditional prediction elsewhere', () => {
    const interval = [0.5, 4] as const;
    expect([8, 4.001, 4, 1, 0.501, 0.5, 0.1].map((sigma) => at(sigma, { interval }))).toEqual([1, 1, 3, 3, 3, 1, 1]);
    expect([8, 1, 0.1].map((sigma) => at(sigma, { interval: [0, Infinity] }))).toEqual([3, 3, 3]);
  });

  it('outside it calls the conditional denoiser, where one is given, on half the batch', async () => {
    const seen: unknown[] = [];
    const counted: Denoiser<tf.Tensor2D> = (x, sigma, step) => (seen.push([sigma, x.shape]), branches(x, sigma, step));
    const conditional: Denoiser<tf.Tensor2D> = (x, sigma) => (seen.push([sigma, x.shape]), tf.fill(x.shape, 1));
    const guided = classifierFreeGuidance(counted, { guidanceScale: 3, interval: [0.5, 4], conditional });
    const xT = tf.ones([3, 2]) as tf.Tensor2D;
    await expectNoLeak(() => sampleDdim(guided, xT, [8, 4, 0.5, 0]));
    xT.dispose();
    expect(seen.slice(0, 3)).toEqual([
      [8, [3, 2]],
      [4, [6, 2]],
      [0.5, [3, 2]],
    ]);
  });
});

describe('guidance, bad input', () => {
  beforeAll(() => setupBackend('cpu'));
  it('names the option and what it may be', () => {
    const make = (options: object) => () =>
      classifierFreeGuidance((x: tf.Tensor) => x, { guidanceScale: 2, ...options } as GuidanceOptions);
    for (const rescale of [-0.1, 1.5, NaN]) {
      expect(make({ rescale })).toThrow(
        `classifierFreeGuidance: expected rescale to be a number from 0 to 1, received ${rescale}.`,
      );
    }
    expect(make({ rescaleOf: 'noise' })).toThrow(
      "classifierFreeGuidance: expected rescaleOf to be one of 'eps', 'v', 'x0', received 'noise'.",
    );
    for (const interval of [
      [4, 1],
      [1, 1],
      [-1, 1],
      [NaN, 1],
      [1, NaN],
    ]) {
      expect(make({ interval })).toThrow(
        `classifierFreeGuidance: expected interval to be two rising sigmas from 0, received [${interval}].`,
      );
    }
  });

  it('says so when there is no unconditional branch, in a run too, and frees everything', async () => {
    const conditionalOnly: Denoiser<tf.Tensor2D> = (x) => tf.slice(x, 0, x.shape[0] / 2);
    const guided = classifierFreeGuidance(conditionalOnly, { guidanceScale: 2 });
    const xT = tf.ones([2, 3]) as tf.Tensor2D;
    await expectNoLeak(() => sampleDdim(guided, xT, [2, 1, 0]), {
      throws:
        'classifierFreeGuidance: expected the denoiser to return float32 of shape [4,3] at step 0 of 2 (sigma 2), received float32 of ' +
        'shape [2,3]. It is given the conditional items and then the unconditional ones, and has to answer both.',
    });
    xT.dispose();
  });
});

describe('thresholding', () => {
  beforeAll(() => setupBackend('cpu'));
  it('that is static cuts to the range', () => {
    tf.tidy(() => {
      const denoiser: Denoiser<tf.Tensor1D> = () => tf.tensor1d([-3, -1, 0.5, 2]);
      const cut = (options = {}) => [...staticThresholding(denoiser, options)(tf.zeros([4]), 1, STEP).dataSync()];
      expect(cut()).toEqual([-1, -1, 0.5, 1]);
      expect(cut({ limit: 2.5 })).toEqual([-2.5, -1, 0.5, 2]);
    });
  });

  it('that is dynamic is the closed form on a ramp, item by item, and leaves alone what is in range', () => {
    tf.tidy(() => {
      const ramp = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 0, 0]; // absolute values 0 0 0 1 1 2 2 3 3 4 4: 3 at 70 % and at 80 %
      const small = ramp.map((value) => value / 10);
      const denoiser: Denoiser<tf.Tensor2D> = () => tf.tensor2d([ramp, small]);
      const found = dynamicThresholding(denoiser, { percentile: 0.8 })(tf.zeros([2, 11]), 1, STEP);
      const cut = (value: number) => Math.max(-3, Math.min(3, value));
      expect(found).toBeAllClose(tf.tensor2d([ramp.map((value) => cut(value) / 3), small]), { rtol: 0, atol: 1e-7 });
      const wide = dynamicThresholding(denoiser, { percentile: 0.8, limit: 2 })(tf.zeros([2, 11]), 1, STEP);
      expect(wide).toBeAllClose(tf.tensor2d([ramp.map((value) => (cut(value) * 2) / 3), small]), {
        rtol: 0,
        atol: 1e-7,
      });
      const capped = dynamicThresholding(denoiser, { percentile: 1, max: 1 })(tf.zeros([2, 11]), 1, STEP);
      const hard = staticThresholding(denoiser)(tf.zeros([2, 11]), 1, STEP);
      expect(capped).toBeAllClose(hard, { rtol: 0, atol: 0 }); // with max 1 it is the static one
    });
  });

  it('goes around guidance, and within it around each branch; all together leave nothing behind', async () => {
    const model = (xT: tf.Tensor2D) => tf.tanh(tf.mul<tf.Tensor2D>(xT, 2));
    for (const prediction of ['eps', 'v', 'x0'] satisfies Prediction[]) {
      const inner = dynamicThresholding(denoiserFromModel(model, SCHEDULE, prediction));
      const guided = classifierFreeGuidance(inner, { guidanceScale: 3, rescale: 0.5, interval: [0.2, 50] });
      const outer = staticThresholding(dynamicThresholding(guided, { percentile: 0.9 }), { limit: 0.8 });
      const xT = tf.mul<tf.Tensor2D>(tf.randomNormal([2, 5], 0, 1, 'float32', 3), 80);
      await expectNoLeak(async () => {
        const y = await sampleDdim(outer, xT, [SCHEDULE.sigmas[999]!, 9, 1, 0.1, 0]);
        expect(Math.max(...y.dataSync().map(Math.abs))).toBeLessThanOrEqual(0.8 + 1e-6);
        return y;
      });
      xT.dispose();
    }
  });

  it('refuses an answer of another shape, rather than broadcast it', async () => {
    const x = tf.ones([1, 2]) as tf.Tensor2D;
    const wraps = { staticThresholding, dynamicThresholding };
    for (const [where, wrap] of Object.entries(wraps)) {
      for (const [bad, received] of [
        [() => tf.ones([1, 1]), 'float32 of shape [1,1].'],
        [() => tf.scalar(1), 'float32 of shape [].'],
        [() => tf.ones([1, 2], 'bool'), 'bool of shape [1,2].'],
        [async () => x, '[object Promise]. It must not be an async function.'],
      ] as const) {
        await expectNoLeak(() => wrap<tf.Tensor2D>(bad as never)(x, 1, STEP), {
          throws: `${where}: expected the denoiser to return float32 of shape [1,2] at step 0 of 1 (sigma 1), received ${received}`,
        });
      }
      expect(() => wrap(undefined as never)).toThrow(`${where}: expected denoiser to be a function`);
    }
    x.dispose();
  });

  it('rejects bad options', () => {
    const denoiser: Denoiser = (x) => x;
    for (const limit of [0, -1, NaN, Infinity]) {
      const want = `expected limit to be a finite number above 0, received ${limit}.`;
      expect(() => staticThresholding(denoiser, { limit })).toThrow(`staticThresholding: ${want}`);
      expect(() => dynamicThresholding(denoiser, { limit })).toThrow(`dynamicThresholding: ${want}`);
    }
    for (const percentile of [0, 1.1, NaN]) {
      expect(() => dynamicThresholding(denoiser, { percentile })).toThrow(
        `dynamicThresholding: expected percentile to be a number above 0 and up to 1, received ${percentile}.`,
      );
    }
    expect(() => dynamicThresholding(denoiser, { limit: 2, max: 1 })).toThrow(
      'dynamicThresholding: expected max to be at least limit, 2, received 1.',
    );
  });
});

describe.each(['cpu', 'wasm'] as const)('thresholding of a broken network, on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('does not hide NaN or infinity: not finite where the prediction is not, in range elsewhere, and a run says so', async () => {
    const xT = tf.ones([2, 4]) as tf.Tensor2D;
    for (const wrap of [staticThresholding<tf.Tensor2D>, dynamicThresholding<tf.Tensor2D>]) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const broken: Denoiser<tf.Tensor2D> = () => tf.tensor2d([0.5, bad, -3, 0.25, 0.5, -0.5, 2, 0], [2, 4]);
        const cut = wrap(broken)(xT, 1, STEP);
        const values = Array.from(cut.dataSync());
        cut.dispose();
        expect(Number.isFinite(values[1])).toBe(false);
        for (const value of values.slice(4)) expect(Math.abs(value)).toBeLessThanOrEqual(1); // the other item
        await expectNoLeak(() => sampleDdim(wrap(broken), xT, [2, 1, 0]), {
          throws: 'sampleDdim: the denoiser returned NaN or infinity at step 0 of 2 (sigma 2)',
        });
      }
    }
    xT.dispose();
  });
});

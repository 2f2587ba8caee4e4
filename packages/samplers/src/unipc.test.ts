import * as tf from '@tensorflow/tfjs-core';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import {
  iterateUniPc,
  sampleDdim,
  sampleDpmSolverPp2m,
  sampleUniPc,
  type Denoiser,
  type UniPcOptions,
  type UniPcVariant,
} from './index';
import { describeOrder, describeSlope } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';
import { smoothSigmas, withShortStart } from './testing/oracles';

type Tensor2D = tf.Tensor2D;
const VARIANTS: readonly UniPcVariant[] = ['bh1', 'bh2'];
const as = (options: UniPcOptions) => (denoiser: Denoiser<Tensor2D>, xT: Tensor2D, sigmas: ArrayLike<number>) =>
  sampleUniPc(denoiser, xT, sigmas, options);

describeSampler('UniPC', { name: 'sampleUniPc', sample: sampleUniPc, iterate: iterateUniPc, remembers: 2 });
describeSampler('UniPC of order 3 with bh1', {
  remembers: 2,
  name: 'sampleUniPc',
  sample: (denoiser, xT, sigmas, options) =>
    sampleUniPc(denoiser, xT, sigmas, { ...options, order: 3, variant: 'bh1' }),
  iterate: (denoiser, xT, sigmas, options) =>
    iterateUniPc(denoiser, xT, sigmas, { ...options, order: 3, variant: 'bh1' }),
});
describeOrder('UniPC', sampleUniPc, 3, [0.098, 0.047, 0.023, 0.011]);
describeSlope('UniPC with bh1', as({ variant: 'bh1' }), 3);
for (const variant of VARIANTS) {
  describeSlope(`UniPC of order 1 with ${variant}`, as({ order: 1, variant }), 2);
  describeSlope(`UniPC of order 3 with ${variant}, from high noise`, as({ order: 3, variant }), 4, {
    steps: [40, 80, 160],
    sigmas: (steps) => withShortStart(smoothSigmas(10, steps, 2.5)),
  });
}
describeSlope('UniP of order 1', as({ order: 1, corrector: false }), 1);
describeSlope('UniP of order 2', as({ order: 2, corrector: false }), 2);
describeSlope('UniP of order 3', as({ order: 3, corrector: false }), 3);

describe('sampleUniPc', () => {
  const soft: Denoiser<Tensor2D> = (x, sigma) => tf.tanh(tf.div<Tensor2D>(x, 1 + sigma));
  const sigmas = [20, 9, 4, 1, 0.2, 0];
  const make = () => tf.tensor2d([[30, -21, 7]]);

  async function expectSame(one: UniPcOptions, other: (xT: Tensor2D) => Promise<Tensor2D>): Promise<void> {
    const xT = make();
    const [a, b] = [await sampleUniPc(soft, xT, sigmas, one), await other(xT)];
    expect(a).toBeAllClose(b, { rtol: 1e-5, atol: 1e-6 }); // float32
    tf.dispose([xT, a, b]);
  }

  it('of order 1 without corrector is DDIM with eta 0, in both variants', async () => {
    for (const variant of VARIANTS) {
      await expectSame({ order: 1, corrector: false, variant }, (xT) => sampleDdim(soft, xT, sigmas));
    }
  });

  it('of order 2 with bh2, without corrector, is DPM-Solver++ 2M', () =>
    expectSame({ order: 2, corrector: false }, (xT) => sampleDpmSolverPp2m(soft, xT, sigmas)));

  it('of order 3 follows a prediction that is quadratic in log sigma exactly, with the corrector one that is cubic', async () => {
    // dx / d lambda = x0 - x for a polynomial x0 has the solution x = x0 - x0' + x0'' - x0''' + C e^-lambda.
    const levels = [5, 4, 3, 1.2, 1, 0.5, 0.3, 0.25];
    for (const [corrector, degree] of [
      [false, 2],
      [true, 3],
    ] as const) {
      const c3 = degree === 3 ? 0.3 : 0;
      const x0Of = (l: number) => 0.4 - 0.5 * l + 0.2 * l * l + c3 * l ** 3;
      const particular = (l: number) => x0Of(l) - (-0.5 + 0.4 * l + 3 * c3 * l * l) + (0.4 + 6 * c3 * l) - 6 * c3;
      const denoiser: Denoiser<Tensor2D> = (x, s) => tf.fill(x.shape, x0Of(-Math.log(s)));
      const xT = tf.fill([1, 1], 3) as Tensor2D;
      const states: number[] = [];
      const x0s: number[] = [];
      for await (const { x, x0 } of iterateUniPc(denoiser, xT, levels, { order: 3, corrector, keepNoise: true })) {
        states.push(x.dataSync()[0]!);
        x0s.push(x0.dataSync()[0]!);
      }
      xT.dispose();
      // What is left of the solution's free part after each step, once three predictions are known (four with the corrector).
      const free = states.map((x, i) => (x - particular(-Math.log(levels[i + 1]!))) / levels[i + 1]!);
      if (!corrector) for (let i = 3; i < free.length; i++) expect(free[i]! / free[2]! - 1).toBeCloseTo(0, 5);
      else {
        // The predictor alone misses the cubic: its miss must not add up, being put right one step later.
        const misses = free.map((value, i) => {
          const [h, l] = [Math.log(levels[i]! / levels[i + 1]!), -Math.log(levels[i]!)];
          const nodes = [0, 1, 2].map((back) => -Math.log(levels[i - back] ?? 1) - l);
          // Integral of (v - v0)(v - v1)(v - v2) e^v over the step, by Simpson's rule, over e^h: what a quadratic leaves out.
          const f = (v: number) => nodes.reduce((product, node) => product * (v - node), 1) * Math.exp(v);
          const n = 200;
          let sum = f(0) + f(h);
          for (let j = 1; j < n; j++) sum += f((j * h) / n) * (j % 2 === 1 ? 4 : 2);
          return value + (c3 * sum * h) / (3 * n) / Math.exp(-l);
        });
        for (let i = 4; i < misses.length; i++) expect(misses[i]! - misses[3]!).toBeCloseTo(0, 4);
      }
    }
  });

  it('keeps an x that was put in the place of the predicted one', async () => {
    // The network sees the same whatever x is: what is added to x in one step is then carried on as it is, but for its noise's fading.
    const blind: Denoiser<Tensor2D> = (x, sigma) => tf.fill(x.shape, Math.cos(sigma));
    const levels = [8, 4, 2, 1];
    const end = async (edit: number) => {
      const xT = make();
      const y = await sampleUniPc(blind, xT, levels, {
        keepNoise: true,
        onStep: ({ index, x }) => (index === 1 && edit !== 0 ? { x: tf.add(x, edit) } : undefined),
      });
      const values = Array.from(y.dataSync());
      tf.dispose([xT, y]);
      return values;
    };
    const [plain, edited] = [await end(0), await end(6)];
    expect(edited.map((value, i) => value - plain[i]!)).toBeAllClose([3, 3, 3], { rtol: 1e-5 }); // sigma 1 of 2
  });

  it('rejects an order other than 1 to 3, and an unknown variant', async () => {
    const xT = make();
    for (const order of [0, 4, 2.5, NaN]) {
      await expect(sampleUniPc(soft, xT, [1, 0], { order: order as 2 })).rejects.toThrow(
        `sampleUniPc: expected order to be 1, 2 or 3, received ${order}.`,
      );
    }
    await expect(sampleUniPc(soft, xT, [1, 0], { variant: 'bh3' as 'bh2' })).rejects.toThrow(
      "sampleUniPc: expected variant to be one of 'bh1', 'bh2', received 'bh3'.",
    );
    xT.dispose();
  });
});

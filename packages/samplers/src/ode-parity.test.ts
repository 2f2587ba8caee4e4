import * as tf from '@tensorflow/tfjs-core';
import { readGolden, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  iterateDeis,
  iterateDpm2,
  iterateEuler,
  iterateHeun,
  iterateLms,
  iterateUniPc,
  type Denoiser,
  type Prediction,
  type SampleOptions,
  type SamplingStep,
} from './index';

type Golden = {
  shape: [number, number];
  scale: number;
  deisEnds: { karras: boolean; last: [number, number] }[];
  trajectories: Trajectory[];
};
type Trajectory = {
  sampler: keyof typeof iterators;
  options: Record<string, unknown>;
  sigmas: number[];
  prediction: Prediction;
  /** Whether xT is a variance-preserving state. */
  preserving: boolean;
  xT: number[];
  outputs: number[][];
  noises?: number[][];
  /** After every network call; null where diffusers has NaN. */
  states: (number | null)[][];
};
type Iterate = (
  denoiser: Denoiser<tf.Tensor2D>,
  xT: tf.Tensor2D,
  sigmas: ArrayLike<number>,
  options: SampleOptions,
) => AsyncGenerator<SamplingStep<tf.Tensor2D>, void, void>;

const { shape, scale, deisEnds, trajectories } = readGolden<Golden>(
  import.meta.url,
  '../fixtures/ode-solvers.golden.json',
);
const iterators = {
  euler: iterateEuler as Iterate,
  heun: iterateHeun as Iterate,
  dpm2: iterateDpm2 as Iterate,
  lms: iterateLms as Iterate,
  deis: iterateDeis as Iterate,
  unipc: iterateUniPc as Iterate,
};

describe.each(['cpu', 'wasm'] as const)('deterministic trajectories of diffusers, on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  const fromWhole = (values: readonly number[], by = 1) =>
    tf.tensor2d(
      values.map((value) => (value / scale) * by),
      shape,
    );

  function expectClose(got: ArrayLike<number>, want: readonly (number | null)[], instead?: tf.Tensor): void {
    if (want.includes(null)) return expectClose(got, Array.from(instead!.dataSync()));
    const size = Math.max(...want.map((value) => Math.abs(value!)));
    expect(Array.from(got)).toBeAllClose(want as number[], { rtol: 1e-5, atol: 1e-5 * size });
  }

  for (const { sampler, options, sigmas, prediction, preserving, ...golden } of trajectories) {
    const steps = sigmas.length - 1;
    it(`${sampler} ${JSON.stringify(options)}: ${steps} steps to ${sigmas[steps]}, ${prediction}`, async () => {
      const [first] = sigmas as [number];
      const xT = fromWhole(golden.xT, preserving ? Math.sqrt(1 + first ** 2) : first);
      let calls = 0;
      const denoiser: Denoiser<tf.Tensor2D> = (x, sigma) => {
        // The state that diffusers' last call led to is what the next sees: here, too, in the middle of a step.
        if (calls > 0 && golden.noises === undefined) expectClose(x.dataSync(), golden.states[calls - 1]!);
        const output = fromWhole(golden.outputs[calls++]!);
        const kept = 1 + sigma * sigma;
        if (prediction === 'eps') return tf.sub(x, tf.mul(output, sigma));
        if (prediction === 'v') return tf.sub(tf.div(x, kept), tf.mul(output, sigma / Math.sqrt(kept)));
        return output;
      };
      const noise = (_: readonly number[], step: number) => fromWhole(golden.noises![step]!);
      const run = iterators[sampler](denoiser, xT, sigmas, { ...options, noise, keepNoise: true });
      // Where theirs is NaN (UniPC with bh1 in a step to 0: -infinity times 0), the result has to be the prediction.
      for await (const { x, x0 } of run) expectClose(x.dataSync(), golden.states[calls - 1]!, x0);
      expect(calls).toBe(golden.outputs.length);
      xT.dispose();
    });
  }
});

describe('where diffusers differs', () => {
  it('UniPC with bh1 gives NaN there in a step to sigma 0, and only there', () => {
    for (const { sampler, options, sigmas, states } of trajectories) {
      const broken = states.flatMap((state, index) => (state.includes(null) ? [index] : []));
      const expected = sampler === 'unipc' && options['variant'] === 'bh1' && sigmas.at(-1) === 0;
      expect(broken).toEqual(expected ? [states.length - 1] : []);
    }
  });

  it('DEIS ends above 0 there, with noise left in the result, and on Karras sigmas with a step of no length', async () => {
    const [spaced, karras] = deisEnds as [Golden['deisEnds'][0], Golden['deisEnds'][0]];
    expect(spaced.last[1]).toBeGreaterThan(0.01);
    expect(karras.last[0]).toBe(karras.last[1]);
    // Ours ends at 0, and does not take such a list.
    const xT = tf.ones([1, 1]) as tf.Tensor2D;
    const run = iterateDeis((x) => tf.mul(x, 0.5), xT, karras.last, { keepNoise: true });
    await expect(run.next()).rejects.toThrow('iterateDeis: expected sigmas that fall with every step');
    xT.dispose();
  });
});

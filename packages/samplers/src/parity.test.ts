import * as tf from '@tensorflow/tfjs-core';
import { readGolden, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  createSchedule,
  denoiserFromModel,
  iterateDdim,
  iterateDdpm,
  iterateDpmSolverPp2m,
  samplingSigmas,
  samplingTimesteps,
  type DdpmVariance,
  type Prediction,
  type ScheduleConfig,
  type StepSpacing,
} from './index';

type Golden = { shape: [number, number]; schedule: ScheduleConfig; trajectories: Trajectory[] };
type Trajectory = {
  sampler: 'ddim' | 'ddpm' | 'dpm-solver-pp-2m';
  options: { eta?: number; variance?: DdpmVariance; order?: 1 | 2 };
  spacing: StepSpacing;
  offset?: number;
  steps: number;
  prediction: Prediction;
  timesteps: number[];
  xT: number[];
  outputs: number[][];
  noises: number[][];
  states: number[][];
};

const {
  shape,
  schedule: config,
  trajectories,
} = readGolden<Golden>(import.meta.url, '../fixtures/trajectories.golden.json');
const iterators = { ddim: iterateDdim, ddpm: iterateDdpm, 'dpm-solver-pp-2m': iterateDpmSolverPp2m };

describe.each(['cpu', 'wasm'] as const)('trajectories of diffusers, on %s', (backend) => {
  beforeAll(() => setupBackend(backend));
  const schedule = createSchedule(config);

  for (const golden of trajectories) {
    const { sampler, options, spacing, offset, steps, prediction, timesteps } = golden;
    it(`${sampler} ${JSON.stringify(options)}: ${steps} ${spacing} steps, ${prediction}`, async () => {
      // diffusers' multistep solver has lists of its own for leading and linspace: it is given here as it came.
      const sigmas =
        sampler === 'dpm-solver-pp-2m'
          ? [...timesteps.map((t) => schedule.sigmas[t]!), 0]
          : samplingSigmas(schedule, steps, { spacing, offset });
      if (sampler !== 'dpm-solver-pp-2m' || spacing === 'trailing') {
        expect(Array.from(samplingTimesteps(schedule, steps, { spacing, offset }))).toEqual(timesteps);
      }
      const asked: number[] = [];
      const model = (_: tf.Tensor2D, t: tf.Tensor1D) => {
        asked.push(t.dataSync()[0]!);
        return tf.tensor2d(golden.outputs[asked.length - 1]!, shape);
      };
      const noise = (_: readonly number[], step: number) => tf.tensor2d(golden.noises[step]!, shape);
      const xT = tf.mul<tf.Tensor2D>(tf.tensor2d(golden.xT, shape), Math.sqrt(1 + sigmas[0]! ** 2));
      const run = iterators[sampler](denoiserFromModel(model, schedule, prediction), xT, sigmas, { ...options, noise });
      for await (const { index, sigmaNext, x } of run) {
        const scale = 1 / Math.sqrt(1 + sigmaNext ** 2); // theirs is the variance-preserving state
        const want = golden.states[index]!;
        const size = Math.max(...want.map(Math.abs));
        expect(Array.from(x.dataSync(), (value) => value * scale)).toBeAllClose(want, {
          rtol: 1e-5,
          atol: 1e-5 * size,
        });
      }
      expect(asked).toEqual(timesteps);
      xT.dispose();
    });
  }
});

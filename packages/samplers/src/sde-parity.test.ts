import * as tf from '@tensorflow/tfjs-core';
import { readGolden, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  consistencyDenoiser,
  createSchedule,
  iterateDdim,
  iterateDpmSolverPp2mSde,
  iterateDpmSolverPp2sAncestral,
  iterateDpmSolverPp3mSde,
  iterateEulerAncestral,
  iterateLcm,
  iterateRestart,
  type Denoiser,
  type DpmSolverPp2mSdeOptions,
  type Prediction,
  type Restart,
  type SampleOptions,
  type SamplingStep,
  type ScheduleConfig,
} from './index';

type Run = {
  solver: '2m-sde' | '2s-ancestral' | '3m-sde' | 'euler-ancestral' | 'lcm' | 'restart';
  options: Omit<DpmSolverPp2mSdeOptions, keyof SampleOptions> & { restarts?: Restart[] };
  sigmas: number[];
  xT: number[];
  noises: number[][];
  states: number[][];
};
type GivenRun = Run & { prediction: Prediction; outputs: number[][] };
type Golden = {
  shape: [number, number];
  schedule: ScheduleConfig;
  given: GivenRun[];
  faulty: GivenRun;
  own: Run[];
};

const golden = readGolden<Golden>(import.meta.url, '../fixtures/sde-solvers.golden.json');
const { shape } = golden;
const schedule = createSchedule(golden.schedule);

describe.each(['cpu', 'wasm'] as const)('runs of stochastic samplers with given noises, on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  function iterate(run: Run, denoiser: Denoiser<tf.Tensor2D>, xT: tf.Tensor2D) {
    const { solver, sigmas } = run;
    const options = {
      ...run.options,
      // A restart's noises are numbered after the steps.
      noise: (_: readonly number[], step: number) =>
        tf.tensor2d(run.noises[solver === 'restart' ? step - run.states.length : step]!, shape),
    };
    switch (solver) {
      case 'euler-ancestral':
        return iterateEulerAncestral(denoiser, xT, sigmas, options);
      case '2s-ancestral':
        return iterateDpmSolverPp2sAncestral(denoiser, xT, sigmas, options);
      case '2m-sde':
        return iterateDpmSolverPp2mSde(denoiser, xT, sigmas, options);
      case '3m-sde':
        return iterateDpmSolverPp3mSde(denoiser, xT, sigmas, options);
      case 'lcm':
        return iterateLcm(consistencyDenoiser(denoiser, schedule), xT, sigmas, options);
      case 'restart':
        return iterateRestart(denoiser, xT, sigmas, {
          ...options,
          restarts: run.options.restarts!,
          solver: iterateDdim<tf.Tensor2D>,
        });
    }
  }

  /** States as ours has them, x0 + sigma * eps. */
  async function statesOf(run: Run, denoiser: Denoiser<tf.Tensor2D>) {
    const xT = tf.mul<tf.Tensor2D>(tf.tensor2d(run.xT, shape), Math.sqrt(1 + run.sigmas[0]! ** 2));
    const states: { sigma: number; x: number[] }[] = [];
    const steps: AsyncGenerator<SamplingStep<tf.Tensor2D>, void, void> = iterate(run, denoiser, xT);
    for await (const { sigmaNext, x } of steps) states.push({ sigma: sigmaNext, x: Array.from(x.dataSync()) });
    xT.dispose();
    return states;
  }

  function expectStates(got: readonly number[][], want: readonly number[][]) {
    expect(got.length).toBe(want.length);
    got.forEach((values, step) => {
      const size = Math.max(...want[step]!.map(Math.abs));
      expect(values).toBeAllClose(want[step]!, { rtol: 1e-5, atol: 1e-5 * size });
    });
  }

  /** A network that gives one output after the other, whatever it is asked. */
  function replaying({ outputs, prediction }: GivenRun): Denoiser<tf.Tensor2D> {
    let calls = 0;
    return (x, sigma) => {
      const output = tf.tensor2d(outputs[calls++]!, shape);
      const alpha = 1 / Math.sqrt(1 + sigma ** 2);
      if (prediction === 'x0') return output;
      if (prediction === 'eps') return tf.sub(x, tf.mul<tf.Tensor2D>(output, sigma));
      return tf.sub(tf.mul<tf.Tensor2D>(x, alpha * alpha), tf.mul(output, sigma * alpha));
    };
  }

  /** Of diffusers' states: variance-preserving but for Euler's. */
  const scaleOf = ({ solver }: Run, sigma: number) =>
    solver === 'euler-ancestral' ? 1 : 1 / Math.sqrt(1 + sigma ** 2);

  for (const run of golden.given) {
    const { solver, options, prediction, sigmas } = run;
    it(`${solver} ${JSON.stringify(options)} is that of diffusers: ${sigmas.length - 1} steps, ${prediction}`, async () => {
      const states = await statesOf(run, replaying(run));
      expectStates(
        states.map(({ sigma, x }) => x.map((value) => value * scaleOf(run, sigma))),
        run.states,
      );
    });
  }

  for (const run of golden.own) {
    it(`${run.solver} ${JSON.stringify(run.options)} is that of the formulas in float64`, async () => {
      const soft: Denoiser<tf.Tensor2D> = (x, sigma) => tf.tanh(tf.div<tf.Tensor2D>(x, 1 + sigma));
      expectStates(
        (await statesOf(run, soft)).map(({ x }) => x),
        run.states,
      );
    });
  }

  it('3m-sde is not that of diffusers, whose weight of the second difference is off by a known amount', async () => {
    const run = golden.faulty;
    const { sigmas, outputs } = run;
    const states = await statesOf(run, replaying(run));
    const lambdas = sigmas.map((sigma) => -Math.log(sigma));
    let off = [0, 0, 0, 0]; // ours less theirs
    const want = run.states.map((theirs, i) => {
      const h = lambdas[i + 1]! - lambdas[i]!;
      if (h === Infinity) return theirs; // the last prediction
      const [h2, r0, r1] = [2 * h, (lambdas[i]! - lambdas[i - 1]!) / h, (lambdas[i - 1]! - lambdas[i - 2]!) / h];
      const phi2 = 1 - (1 - Math.exp(-h2)) / h2; // integral of u over the step; that of u^2 is 1 - 2 phi2 / h2
      const theirWeight = (1 - Math.exp(-h2) - h2) / h2 ** 2 - 1 / 2; // k-diffusion's is half of ours
      off = off.map((before, j) => {
        if (i < 2) return 0;
        const [d0, d1] = [outputs[i]![j]! - outputs[i - 1]![j]!, outputs[i - 1]![j]! - outputs[i - 2]![j]!];
        const bend = (d0 / r0 - d1 / r1) / (r0 + r1);
        return before * Math.exp(-h2) + (1 - (2 * phi2) / h2 - theirWeight) * bend;
      });
      const scale = scaleOf(run, sigmas[i + 1]!);
      return theirs.map((value, j) => value + off[j]! * scale);
    });
    expectStates(
      states.map(({ sigma, x }) => x.map((value) => value * scaleOf(run, sigma))),
      want,
    );
    expect(Math.max(...off.map(Math.abs))).toBeGreaterThan(0.1);
  });
});

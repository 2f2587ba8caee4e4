import * as tf from '@tensorflow/tfjs-core';
import * as exported from '../index';
import { SOLVERS } from './solvers';

export type RunReport = {
  /** What each run gave. */
  readonly results: Readonly<Record<string, readonly number[]>>;
  /** Tensors left behind by all of them. */
  readonly left: number;
};

/** A short run of everything that samples, on the `cpu` backend, anywhere. One of them is aborted and one paused and gone on with. */
export async function runEverySampler(): Promise<RunReport> {
  await tf.setBackend('cpu');
  await tf.ready();
  const before = tf.memory().numTensors;
  const schedule = exported.createSchedule({ kind: 'cosine', timesteps: 1000 });
  const sigmas = exported.betaTimestepSigmas(schedule, 5);
  const noise = exported.perItemNoise([1, 2]);
  const xT = exported.initialNoise<tf.Rank.R2>(noise, [2, 3], sigmas);
  const denoiser = exported.denoiserFromModel<tf.Tensor2D>((x) => tf.tanh(tf.mul<tf.Tensor2D>(x, 0.5)), schedule, 'v');
  const results: Record<string, number[]> = {};
  const keep = async (name: string, run: Promise<tf.Tensor>) => {
    const result = await run;
    results[name] = Array.from(await result.data());
    result.dispose();
  };
  for (const { name, sample } of SOLVERS) await keep(name, sample(denoiser, xT, sigmas, { noise }));
  const solver = exported.iterateDpmSolverPp2m;
  const [known, mask] = [tf.fill([2, 3], 0.5) as tf.Tensor2D, tf.tensor2d([[0, 0.5, 1]])];
  await keep('inpainting', exported.sampleInpainting(denoiser, xT, sigmas, { solver, known, mask }));
  await keep('image to image', exported.sampleImageToImage(denoiser, known, sigmas, { solver, strength: 0.6, noise }));
  const restarts = [{ sigmaMin: 0.3, sigmaMax: 1, times: 1, steps: 2 }];
  await keep('restart', exported.sampleRestart(denoiser, xT, sigmas, { solver, restarts, noise }));
  await keep('inversion', exported.invertDdim(denoiser, known, sigmas));
  let saved: exported.SavedRun | undefined;
  for await (const step of exported.iterateUniPc(denoiser, xT, sigmas)) {
    if (step.index === 2) saved = structuredClone(await step.save());
    if (saved) break;
  }
  await keep('gone on with', exported.sampleUniPc(denoiser, xT, sigmas, { resume: saved }));
  const aborted: unknown = await exported
    .sampleDdim(denoiser, xT, sigmas, { signal: AbortSignal.abort() })
    .catch((error: unknown) => error);
  if (!(aborted instanceof exported.SamplingAbortedError)) throw new Error('expected an aborted run to throw');
  tf.dispose([xT, known, mask]);
  return { results, left: tf.memory().numTensors - before };
}

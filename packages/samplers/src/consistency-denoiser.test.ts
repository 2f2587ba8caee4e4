import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { consistencyDenoiser, createSchedule } from './index';

describe('consistencyDenoiser', () => {
  const schedule = createSchedule({ kind: 'sqrt-linear', timesteps: 1000, betaStart: 0.0015, betaEnd: 0.0195 });
  const at = { index: 0, steps: 1 };
  const x = tf.tensor2d([3, -2], [1, 2]);
  const zero = (input: tf.Tensor2D) => tf.zerosLike(input);

  it('at timestep 0 is the input on variance-preserving data; from timestep 20 on it hardly changes x0', () => {
    const of = (t: number, denoiser = zero) =>
      Array.from(consistencyDenoiser(denoiser, schedule)(x, schedule.sigmas[t]!, at).dataSync());
    const alpha = Math.sqrt(schedule.alphasCumprod[0]!);
    expect(of(0)).toBeAllClose([3 * alpha, -2 * alpha], { rtol: 1e-6 });
    expect(of(0, (input) => tf.fill(input.shape, 1e3))).toBeAllClose([3 * alpha, -2 * alpha], { rtol: 1e-6 });
    expect(of(20)).toBeAllClose([0, 0], { rtol: 0, atol: 1e-5 * 3 });
    expect(of(20, (input) => tf.onesLike(input))).toBeAllClose([1, 1], { rtol: 0, atol: 3e-5 });
  });

  it('has the shares of equation 5 at a timestep between, for options of its own', () => {
    const sigma = schedule.sigmas[3]!;
    const one = (input: tf.Tensor2D) => tf.onesLike(input);
    const y = consistencyDenoiser(one, schedule, { sigmaData: 2, timestepScaling: 0.5 })(x, sigma, at);
    const [cSkip, cOut] = [4 / (1.5 ** 2 + 4), 1.5 / Math.sqrt(1.5 ** 2 + 4)];
    const alpha = Math.sqrt(schedule.alphasCumprod[3]!);
    expect(Array.from(y.dataSync())).toBeAllClose([cOut + cSkip * 3 * alpha, cOut - cSkip * 2 * alpha], { rtol: 1e-6 });
    y.dispose();
  });

  it('takes sigmaData 0.5 and the timestep times 10 unless told otherwise', () => {
    const sigma = schedule.sigmas[1]!;
    const y = consistencyDenoiser((input: tf.Tensor2D) => tf.onesLike(input), schedule)(x, sigma, at);
    const [cSkip, cOut] = [0.25 / (10 ** 2 + 0.25), 10 / Math.sqrt(10 ** 2 + 0.25)];
    const alpha = Math.sqrt(schedule.alphasCumprod[1]!);
    expect(Array.from(y.dataSync())).toBeAllClose([cOut + cSkip * 3 * alpha, cOut - cSkip * 2 * alpha], { rtol: 1e-6 });
    y.dispose();
  });

  it('refuses an answer of another shape, rather than broadcast it', async () => {
    const message = (received: string) =>
      `consistencyDenoiser: expected the denoiser to return float32 of shape [1,2] at step 0 of 1 (sigma ${schedule.sigmas[500]}), received ${received}.`;
    for (const [bad, received] of [
      [() => tf.ones([1, 1]), 'float32 of shape [1,1]'],
      [() => tf.scalar(1), 'float32 of shape []'],
      [() => undefined, 'undefined'],
      [async () => x, '[object Promise]'],
    ] as const) {
      await expectNoLeak(() => consistencyDenoiser<tf.Tensor2D>(bad as never, schedule)(x, schedule.sigmas[500]!, at), {
        throws: message(received),
      });
    }
  });

  it('leaves nothing behind but its result', () =>
    expectNoLeak(() => consistencyDenoiser(zero, schedule)(x, schedule.sigmas[500]!, at)));

  it('rejects options that are no number above 0', () => {
    expect(() => consistencyDenoiser(zero, schedule, { sigmaData: 0 })).toThrow(
      'consistencyDenoiser: expected sigmaData to be a finite number above 0, received 0.',
    );
    expect(() => consistencyDenoiser(zero, schedule, { timestepScaling: NaN })).toThrow(
      'consistencyDenoiser: expected timestepScaling to be a finite number above 0, received NaN.',
    );
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { iteratePlms, samplePlms, type Denoiser } from './index';
import { describeOrder } from './testing/describe-order';
import { describeSampler } from './testing/describe-sampler';

describeSampler('PLMS', {
  remembers: 2,
  name: 'samplePlms',
  sample: samplePlms,
  iterate: iteratePlms,
  extrapolates: true,
  callsOf: (index, sigmas) => (index === 0 && sigmas[1]! > 0 ? [sigmas[0]!, sigmas[1]!] : [sigmas[index]!]),
});
describeOrder('PLMS', samplePlms, 2, [0.044, 0.023, 0.012, 0.005]);

describe('samplePlms', () => {
  const point = (value: number) => tf.fill([1, 1], value) as tf.Tensor2D;

  /** A denoiser that sees the noise `slope(sigma)`, whatever x is: the run is then a quadrature of it over sigma. */
  const seeing =
    (slope: (sigma: number) => number): Denoiser<tf.Tensor2D> =>
    (x, sigma) =>
      tf.sub(x, sigma * slope(sigma));

  it('integrates a noise that is a cubic of sigma exactly, once it has seen four, on evenly spaced sigmas', async () => {
    const slope = (s: number) => 0.3 + 0.2 * s - 0.1 * s ** 2 + 0.05 * s ** 3;
    const integral = (s: number) => 0.3 * s + 0.1 * s ** 2 - (0.1 / 3) * s ** 3 + 0.0125 * s ** 4;
    const sigmas = [4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5, 0];
    const states: number[] = [];
    const xT = point(2);
    for await (const { x } of iteratePlms(seeing(slope), xT, sigmas)) states.push(x.dataSync()[0]!);
    const added = (from: number, to: number) => integral(sigmas[to]!) - integral(sigmas[from]!);
    for (let i = 4; i < sigmas.length; i++) expect(states[i - 1]! - states[i - 2]!).toBeCloseTo(added(i - 1, i), 5);
    // The start, of lower order, is off: by the terms that improved Euler, AB2 and AB3 miss.
    expect(Math.abs(states[0]! - 2 - added(0, 1))).toBeGreaterThan(1e-3);
    xT.dispose();
  });

  it('starts with improved Euler: a noise that is linear in sigma is exact from the first step on', async () => {
    const sigmas = [4, 2, 1, 0];
    const xT = point(2);
    const states: number[] = [];
    for await (const { x } of iteratePlms(
      seeing((s) => 0.5 + 0.25 * s),
      xT,
      sigmas,
    ))
      states.push(x.dataSync()[0]!);
    const exact = (s: number) => 2 + 0.5 * (s - 4) + 0.125 * (s ** 2 - 16);
    expect(states[0]).toBeCloseTo(exact(2), 6);
    xT.dispose();
  });

  it('in a single step to 0 calls once and returns the prediction', async () => {
    const calls: number[] = [];
    const xT = point(1);
    const y = await samplePlms((x, sigma) => (calls.push(sigma), tf.mul(x, 0.5)), xT, [3, 0]);
    expect([calls, Array.from(y.dataSync())]).toEqual([[3], [0.5]]);
    tf.dispose([xT, y]);
  });

  it('blames the denoiser at the level of its second call, and frees everything', async () => {
    const xT = point(1);
    const broken: Denoiser<tf.Tensor2D> = (x, sigma) => (sigma === 2 ? tf.fill(x.shape, NaN) : tf.mul(x, 0.5));
    await expectNoLeak(() => samplePlms(broken, xT, [4, 2, 0]), {
      throws:
        'samplePlms: the denoiser returned NaN or infinity at step 0 of 2 (sigma 2), for a finite input. ' +
        "Look at the model's weights, its conditions and its range of sigmas.",
    });
    xT.dispose();
  });
});

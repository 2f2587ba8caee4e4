import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import type { Denoiser } from '@sgdiff/sampler';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { holdRegions } from './hold-regions';

const SHAPE = [2, 2, 1] as const; // h, w, C

describe.each(['cpu', 'wasm'] as const)('holdRegions on %s', (backend) => {
  const answers = [1, 10, 100, 1000];
  /** Item i is predicted to be `answers[i]` everywhere. */
  const denoiser: Denoiser<tf.Tensor4D> = () =>
    tf.tidy(() => tf.mul(tf.tensor4d(answers, [4, 1, 1, 1]), tf.ones([4, 2, 2, 1])));
  const step = { index: 0, steps: 1 };

  it('puts the prediction of the item before in outside the region, in a chain, and mixes at its seam', async () => {
    await setupBackend(backend);
    const regions = [undefined, Float32Array.of(1, 0, 0.5, 0), Float32Array.of(0, 1, 0, 0), undefined];
    const held = holdRegions(denoiser, regions, SHAPE);
    const x = tf.zeros([4, 2, 2, 1]) as tf.Tensor4D;
    await expectNoLeak(() => held(x, 1, step));
    const y = held(x, 1, step);
    expect(Array.from(y.dataSync())).toEqual([1, 1, 1, 1, 10, 1, 5.5, 1, 10, 100, 5.5, 1, 1000, 1000, 1000, 1000]);
    tf.dispose([x, y]);
  });

  it('is the denoiser itself where there is no region', () => {
    expect(holdRegions(denoiser, [], SHAPE)).toBe(denoiser);
    expect(holdRegions(denoiser, [undefined, undefined], SHAPE)).toBe(denoiser);
  });
});

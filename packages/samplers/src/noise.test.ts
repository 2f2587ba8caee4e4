import * as tf from '@tensorflow/tfjs-core';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { INITIAL_STEP, initialNoise, perItemNoise } from './noise';
import { philox } from './philox';

beforeAll(() => setupBackend('cpu'));

describe('philox', () => {
  it("agrees with the authors' known answers (Random123, kat_vectors, philox4x32 10)", () => {
    const all = 0xffffffff;
    expect(philox([0, 0, 0, 0], 0, 0)).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    expect(philox([all, all, all, all], all, all)).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    expect(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0xa4093822, 0x299f31d0)).toEqual([
      0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
    ]);
  });
});

describe('perItemNoise', () => {
  const draw = (seeds: readonly number[], shape: readonly number[], step: number, number?: number) => {
    const tensor = perItemNoise(seeds)(shape, step, number);
    const values = Array.from(tensor.dataSync());
    expect([tensor.shape, tensor.dtype]).toEqual([[...shape], 'float32']);
    tensor.dispose();
    return values;
  };

  it('is fixed for all time by seed and step', () => {
    // Pinned: a change of these numbers changes every picture ever drawn.
    expect(draw([7], [1, 5], 0)).toMatchInlineSnapshot(`
      [
        -0.2871565520763397,
        -0.11309673637151718,
        1.436450481414795,
        -1.6424654722213745,
        -1.6934868097305298,
      ]
    `);
    expect(draw([2 ** 53 - 1], [1, 2], INITIAL_STEP)).toMatchInlineSnapshot(`
      [
        -0.20214812457561493,
        0.28889647126197815,
      ]
    `);
  });

  it('gives each item what its seed gives alone, whatever the batch', () => {
    fc.assert(
      fc.property(
        fc.array(fc.maxSafeNat(), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: -1, max: 2000 }),
        fc.integer({ min: 1, max: 9 }),
        (seeds, step, size) => {
          expect(draw(seeds, [seeds.length, size], step)).toEqual(
            seeds.flatMap((seed) => draw([seed], [1, size], step)),
          );
        },
      ),
      { numRuns: 30, seed: 3 },
    );
  });

  it('does not depend on how the item is shaped, and gives a smaller item the beginning of a larger one', () => {
    expect(draw([5], [1, 2, 3, 2], 4)).toEqual(draw([5], [1, 12], 4));
    expect(draw([5], [1, 7], 4)).toEqual(draw([5], [1, 12], 4).slice(0, 7));
  });

  it('differs between steps, between draws of a step and between seeds, also in their high bits', () => {
    const streams = [
      draw([1], [1, 4], 0),
      draw([1], [1, 4], 1),
      draw([1], [1, 4], INITIAL_STEP),
      draw([2], [1, 4], 0),
      draw([1 + 2 ** 32], [1, 4], 0),
      draw([1], [1, 4], 0, 1),
      draw([1], [1, 4], 1, 1),
    ];
    expect(new Set(streams.flat()).size).toBe(28);
    expect(draw([1], [1, 4], 1, 0)).toEqual(streams[1]); // the first draw of a step is its only one for most methods
  });

  it('is standard normal: moments of 100,000 numbers within 5 standard errors', () => {
    const n = 100_000;
    const values = draw([42], [1, n], 3);
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / n;
    // Variances of z, z^2, z^3, z^4 are 1, 2, 15, 96.
    expect(Math.abs(moment(1))).toBeLessThan(5 * Math.sqrt(1 / n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    const neighbours = values.slice(1).reduce((sum, value, i) => sum + value * values[i]!, 0) / n;
    expect(Math.abs(neighbours)).toBeLessThan(5 / Math.sqrt(n));
    const outside = values.filter((value) => Math.abs(value) > 1.959964).length / n;
    expect(Math.abs(outside - 0.05)).toBeLessThan(5 * Math.sqrt((0.05 * 0.95) / n));
  });

  it('is uncorrelated between seeds that follow each other, and between steps', () => {
    const n = 20_000;
    const correlation = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0) / n;
    const first = draw([1], [1, n], 0);
    expect(Math.abs(correlation(first, draw([2], [1, n], 0)))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(correlation(first, draw([1], [1, n], 1)))).toBeLessThan(5 / Math.sqrt(n));
  });

  it('leaks nothing', () => expectNoLeak(() => perItemNoise([1])([1, 3], 0)));

  it('rejects seeds it cannot tell apart, and a batch of another size', () => {
    expect(() => perItemNoise([])).toThrow('perItemNoise: expected at least one seed, received none.');
    for (const seed of [-1, 0.5, NaN, 2 ** 53]) {
      expect(() => perItemNoise([0, seed])).toThrow(
        `perItemNoise: expected seeds[1] to be a whole number from 0 to 2^53 - 1, received ${seed}.`,
      );
    }
    expect(() => perItemNoise([1, 2])([3, 4], 0)).toThrow(
      'perItemNoise: expected a batch of 2, one item per seed, received shape [3,4].',
    );
  });
});

describe('initialNoise', () => {
  it('says what is missing or no shape or level, in plain JavaScript', async () => {
    const noise = perItemNoise([1, 2]);
    const start = (draw: unknown, shape: unknown, sigmas: unknown) => () =>
      initialNoise(draw as typeof noise, shape as number[], sigmas as number[]);
    const refused = (fn: () => unknown, message: string) => expectNoLeak(fn, { throws: `initialNoise: ${message}.` });
    await refused(
      start(undefined, [2, 1], [1, 0]),
      'expected noise to be a function as from perItemNoise(seeds), received undefined',
    );
    await refused(start(noise, undefined, [1, 0]), 'expected shape to be a list, received undefined');
    await refused(start(noise, [2, -1], [1, 0]), 'expected shape[1] to be a whole number from 0, received -1');
    await refused(start(noise, [2, 1.5], [1, 0]), 'expected shape[1] to be a whole number from 0, received 1.5');
    await refused(start(noise, [2, '3'], [1, 0]), "expected shape[1] to be a whole number from 0, received '3'");
    await refused(start(noise, [2, 1], undefined), 'expected sigmas to be a list, received undefined');
    await refused(start(noise, [2, 1], []), 'expected sigmas[0] to be a finite number from 0, received undefined');
    await refused(start(noise, [2, 1], [NaN]), 'expected sigmas[0] to be a finite number from 0, received NaN');
    await refused(
      start(() => tf.ones([1, 1]), [2, 1], [3, 0]),
      'expected noise to return float32 of shape [2,1] at sigma 3, received float32 of shape [1,1]',
    );
    const seeds = (value: unknown) => () => perItemNoise(value as number[]);
    expect(seeds(undefined)).toThrow('perItemNoise: expected seeds to be a list, received undefined.');
    expect(seeds(5)).toThrow('perItemNoise: expected seeds to be a list, received 5.');
    expect(seeds(['1'])).toThrow(
      "perItemNoise: expected seeds[0] to be a whole number from 0 to 2^53 - 1, received '1'.",
    );
  });

  it('is the noise of its own step, at the level where the data has unit variance with sigma^2 of it added', () => {
    const noise = perItemNoise([9, 10]);
    const plain = noise([2, 2], INITIAL_STEP);
    const start = initialNoise<tf.Rank.R2>(noise, [2, 2], [3, 1, 0]);
    expect(start).toBeAllClose(tf.mul(plain, Math.sqrt(10)), { rtol: 1e-6, atol: 0 });
  });

  it('leaks nothing', () => expectNoLeak(() => initialNoise(perItemNoise([1]), [1, 3], [2, 0])));
});

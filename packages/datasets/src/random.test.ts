import { describe, expect, it } from 'vitest';
import { createRandom, hashKey, philox4x32 } from './random';

describe('philox4x32', () => {
  // Known answers of the Random123 distribution (kat_vectors, philox4x32 with 10 rounds).
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as [[number, number, number, number], [number, number], number[]][])(
    'gives the published words for counter %j and key %j',
    (counter, key, expected) => {
      expect(philox4x32(counter, key)).toEqual(expected);
    },
  );
});

describe('createRandom', () => {
  it('gives the same numbers for the same address and others for another', () => {
    const draw = (stream: number) => {
      const random = createRandom([1, 2, stream, 4]);
      return Array.from({ length: 9 }, () => random.uniform());
    };
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(5));
  });

  it('draws uniform numbers: mean 1/2, variance 1/12', () => {
    const random = createRandom([9, 9, 9, 9]);
    const draws = Array.from({ length: 20000 }, () => random.uniform());
    const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
    const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.008); // four standard errors
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.0022);
  });

  it('picks by weight, never an item of weight 0', () => {
    const random = createRandom([0, 0, 0, 0]);
    const picks = Array.from({ length: 4000 }, () => random.weighted(['a', 'b', 'c'], [3, 0, 1]));
    expect(picks).not.toContain('b');
    expect(Math.abs(picks.filter((pick) => pick === 'a').length / 4000 - 0.75)).toBeLessThan(0.03);
  });

  it('shuffles without loss and leaves its argument alone', () => {
    const items = Object.freeze([1, 2, 3, 4, 5, 6]);
    expect([...createRandom([1, 1, 1, 1]).shuffle(items)].sort()).toEqual(items);
  });
});

describe('hashKey', () => {
  it('tells numbers from words and keeps the parts apart', () => {
    const keys = [[1, 2], [12], ['1', 2], ['1', '2'], ['12'], []];
    expect(new Set(keys.map(hashKey)).size).toBe(keys.length);
  });
});

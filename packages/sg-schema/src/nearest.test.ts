import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { editDistance, nearestWords } from './nearest';

/** The definition, with the whole table. */
function plainDistance(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_, j) => i + j));
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      d[i]![j] = Math.min(d[i - 1]![j]! + 1, d[i]![j - 1]! + 1, d[i - 1]![j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        d[i]![j] = Math.min(d[i]![j]!, d[i - 2]![j - 2]! + 1);
      }
    }
  }
  return d[a.length]![b.length]!;
}

describe('editDistance', () => {
  it('is the optimal string alignment distance, or Infinity past the limit', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 9 });
    fc.assert(
      fc.property(word, word, fc.nat({ max: 5 }), (a, b, limit) => {
        const distance = plainDistance(a, b);
        expect(editDistance(a, b, limit)).toBe(distance <= limit ? distance : Infinity);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('nearestWords', () => {
  const words = ['sheep', 'ship', 'sheet', 'grass', 'glass', 'glasses', 'man', 'woman', 'car'];

  it('names the nearest words first, then in their own order, at most three', () => {
    expect(nearestWords('shepe', words)).toEqual(['sheep', 'ship', 'sheet']);
    expect(nearestWords('grss', words)).toEqual(['grass', 'glass']);
    expect(nearestWords('CAR', words)).toEqual(['car']);
  });

  it('names nothing for a word that is near none', () => {
    expect(nearestWords('xylophone', words)).toEqual([]);
    expect(nearestWords('dog', words)).toEqual([]);
    expect(nearestWords('s'.repeat(100_000), words)).toEqual([]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBatchOrder } from './batches';

const sizes = fc
  .record({ count: fc.integer({ min: 1, max: 40 }), batchSize: fc.integer({ min: 1, max: 40 }), seed: fc.integer() })
  .filter(({ count, batchSize }) => batchSize <= count);

describe('createBatchOrder', () => {
  it('depends on the step alone, not on the steps asked for before', () => {
    fc.assert(
      fc.property(sizes, fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 8 }), ({ count, batchSize, seed }, steps) => {
        const order = createBatchOrder(count, batchSize, seed);
        for (const step of steps) {
          expect(order(step)).toEqual(createBatchOrder(count, batchSize, seed)(step));
        }
      }),
      { numRuns: 40 },
    );
  });

  it('shows each item once in an epoch', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 5 }), ({ count, batchSize, seed }, epoch) => {
        const order = createBatchOrder(count, batchSize, seed);
        const perEpoch = Math.floor(count / batchSize);
        const seen = Array.from({ length: perEpoch }, (_, i) => [...order(epoch * perEpoch + i)]);
        expect(seen.every((batch) => batch.length === batchSize)).toBe(true);
        const items = seen.flat();
        expect(new Set(items).size).toBe(perEpoch * batchSize);
        expect(items.every((item) => item >= 0 && item < count)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('is a permutation of all items when the batches fill the epoch, another one in each epoch', () => {
    const order = createBatchOrder(100, 20, 7);
    const epochs = [0, 1].map((epoch) => [0, 1, 2, 3, 4].flatMap((i) => [...order(epoch * 5 + i)]));
    for (const items of epochs) expect(items.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect([...createBatchOrder(100, 20, 8)(0)]).not.toEqual([...order(0)]);
  });

  it('says so when there are fewer samples than a batch takes', () => {
    expect(() => createBatchOrder(3, 4, 1)).toThrow(
      'A batch of 4 needs at least as many samples, the data has 3. Prepare more, or use a smaller batch.',
    );
  });
});

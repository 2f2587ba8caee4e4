import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '@sgdiff/nn';
import { PretrainError, retrieval } from './index';

const rows = (...values: number[][]): Float32Array => Float32Array.from(values.flat());

describe('retrieval', () => {
  it('is perfect for matched orthogonal vectors of any length', () => {
    const graphs = rows([2, 0, 0], [0, 1, 0], [0, 0, 5]);
    const images = rows([1, 0, 0], [0, 9, 0], [0, 0, 0.1]);
    const all = { r1: 1, r5: 1, r10: 1 };
    expect(retrieval(graphs, images, { width: 3 })).toEqual({
      graphToImage: all,
      imageToGraph: all,
      candidates: 3,
      queries: 3,
    });
  });

  it('counts both directions on their own', () => {
    // Graph 0 and 1 both lie nearest to image 0; each image lies nearest to its own graph.
    const graphs = rows([1, 0], [0.8, 0.6]);
    const images = rows([0.96, 0.28], [0, 1]);
    const { graphToImage, imageToGraph } = retrieval(graphs, images, { width: 2 });
    expect(graphToImage.r1).toBe(0.5);
    expect(imageToGraph.r1).toBe(1);
  });

  it('gives a collapsed encoder exactly chance', () => {
    const same = new Float32Array(100 * 4).fill(0.5);
    const { graphToImage } = retrieval(same, same, { width: 4 });
    expect(graphToImage.r1).toBeCloseTo(0.01, 10);
    expect(graphToImage.r5).toBeCloseTo(0.05, 10);
    expect(graphToImage.r10).toBeCloseTo(0.1, 10);
  });

  it('ranks within groups of candidates and leaves a last group that is not full out', () => {
    // Five pairs in groups of two; pairs 0 and 1 are swapped, pair 4 is left out.
    const graphs = rows([1, 0], [0, 1], [1, 0], [0, 1], [1, 0]);
    const images = rows([0, 1], [1, 0], [1, 0], [0, 1], [0, 1]);
    const score = retrieval(graphs, images, { width: 2, candidates: 2 });
    expect(score).toMatchObject({ candidates: 2, queries: 4, graphToImage: { r1: 0.5, r5: 1 } });
  });

  it('takes 100 candidates unless told otherwise, or all if there are fewer', () => {
    const noise = createRng(1).fillNormal(new Float32Array(250 * 3));
    expect(retrieval(noise, noise, { width: 3 })).toMatchObject({ candidates: 100, queries: 200 });
    expect(retrieval(noise.subarray(0, 30), noise.subarray(0, 30), { width: 3 })).toMatchObject({ candidates: 10 });
  });

  it('agrees with ranking by sorting, and grows from r1 to r10', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 25 }), (seed, count) => {
        const rng = createRng(seed);
        const graphs = rng.fork('g').fillNormal(new Float32Array(count * 3));
        const images = rng.fork('i').fillNormal(new Float32Array(count * 3));
        const row = (all: Float32Array, i: number): number[] => {
          const v = [...all.subarray(3 * i, 3 * i + 3)];
          return v.map((x) => x / Math.hypot(...v));
        };
        const expected = [1, 5, 10].map((places) => {
          const hits = Array.from({ length: count }, (_, i) => {
            const scores = Array.from({ length: count }, (__, j) =>
              row(graphs, i).reduce((sum, x, k) => sum + x * row(images, j)[k]!, 0),
            );
            const order = scores.map((__, j) => j).sort((a, b) => scores[b]! - scores[a]!);
            return order.indexOf(i) < places ? 1 : 0;
          });
          return hits.reduce<number>((a, b) => a + b, 0) / count;
        });
        const { r1, r5, r10 } = retrieval(graphs, images, { width: 3 }).graphToImage;
        [r1, r5, r10].forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 10));
        expect(r1 <= r5 && r5 <= r10).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('refuses lists that do not fit, too few pairs, and numbers that are not finite', () => {
    const two = rows([1, 0], [0, 1]);
    expect(() => retrieval(two, rows([1, 0]), { width: 2 })).toThrow(
      'retrieval: expected two lists of N x 2 numbers with N at least 1, received 4 and 2.',
    );
    expect(() => retrieval(two, two, { width: 2, candidates: 3 })).toThrow(
      'retrieval: expected candidates to be a whole number in 1 to 2, the number of pairs, received 3.',
    );
    const bad = (): unknown => retrieval(two, rows([1, 0], [NaN, 1]), { width: 2 });
    expect(bad).toThrow(PretrainError);
    expect(bad).toThrow('retrieval: the vector of image 1 has a number that is not finite. Did training diverge?');
  });
});

import { createRng } from '@sgdiff/nn';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { codebookFromLatents, codebookPerplexity, countCodes, restartDeadCodes } from './codebook';

const latents = Float32Array.from({ length: 40 }, (_, i) => i); // 20 vectors of 2: (0, 1), (2, 3), …

describe('codebookFromLatents', () => {
  it('draws different vectors while there are enough', () => {
    const codes = codebookFromLatents(latents, 12, 2, createRng(1));
    const firsts = Array.from({ length: 12 }, (_, k) => codes[2 * k]!);
    expect(new Set(firsts).size).toBe(12);
    for (let k = 0; k < 12; k++) {
      expect(firsts[k]! % 2).toBe(0);
      expect(codes[2 * k + 1]).toBe(firsts[k]! + 1);
    }
  });

  it('tells repeated vectors apart when there are too few', () => {
    const codes = codebookFromLatents(latents, 60, 2, createRng(1));
    expect(new Set(Array.from({ length: 60 }, (_, k) => codes[2 * k])).size).toBe(60);
  });

  it('refuses latents of another width', () => {
    expect(() => codebookFromLatents(latents, 4, 3, createRng(1))).toThrow(
      'codebookFromLatents: expected latents made of vectors of 3 values, received 40 values. ' +
        'Pass what encode returned, flattened.',
    );
  });
});

describe('restartDeadCodes', () => {
  const codebook = Float32Array.from([100, 100, 200, 200, 300, 300]);

  it('moves exactly the codes that nothing chose onto latents', () => {
    const { codebook: moved, restarted } = restartDeadCodes(
      codebook,
      Float32Array.from([0, 5, 0]),
      latents,
      createRng(2),
    );
    expect(restarted).toEqual([0, 2]);
    expect(Array.from(moved.subarray(2, 4))).toEqual([200, 200]);
    for (const k of restarted) {
      expect(moved[2 * k]).toBeLessThan(40);
      expect(moved[2 * k + 1]).toBe(moved[2 * k]! + 1);
    }
    expect(codebook[0]).toBe(100);
  });

  it('changes nothing when all codes live', () => {
    const { codebook: moved, restarted } = restartDeadCodes(
      codebook,
      Float32Array.from([1, 1, 1]),
      latents,
      createRng(2),
    );
    expect(restarted).toEqual([]);
    expect(moved).toEqual(codebook);
  });

  it('takes codes below minCount for dead', () => {
    const { restarted } = restartDeadCodes(codebook, Float32Array.from([2, 9, 3]), latents, createRng(2), {
      minCount: 3,
    });
    expect(restarted).toEqual([0]);
  });

  it('refuses counts that do not fit', () => {
    expect(() => restartDeadCodes(codebook, new Float32Array(4), latents, createRng(2))).toThrow(
      'restartDeadCodes: expected one count per code, received 6 values and 4 counts.',
    );
  });
});

describe('countCodes and codebookPerplexity', () => {
  it('count, and give the number of codes when all are used alike', () => {
    const counts = countCodes([0, 1, 2, 3, 3, 2, 1, 0], 6);
    expect(Array.from(counts)).toEqual([2, 2, 2, 2, 0, 0]);
    expect(codebookPerplexity(counts)).toBeCloseTo(4, 10);
    expect(codebookPerplexity(countCodes([5, 5, 5], 6))).toBeCloseTo(1, 10);
    expect(codebookPerplexity(new Float32Array(3))).toBe(0);
  });
});

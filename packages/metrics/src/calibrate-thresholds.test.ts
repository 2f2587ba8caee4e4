import type { Box } from '@sgdiff/sg-schema';
import { describe, expect, it } from 'vitest';
import { calibrateThresholds, toThresholds } from './calibrate-thresholds';
import { boxIou } from './detection';

const left: Box = [0, 0, 0.5, 1];
const right: Box = [0.5, 0, 1, 1];
const found = (category: string, score: number, box: Box) => ({ category, score, box });

describe('calibrateThresholds', () => {
  it('puts the threshold between the last score worth keeping and the next', () => {
    const detections = [[found('cat', 0.9, left), found('cat', 0.2, right)], [found('cat', 0.6, left)]];
    const things = [[{ category: 'cat', box: left }], [{ category: 'cat', box: left }]];
    const [cat, dog] = calibrateThresholds(['cat', 'dog'], detections, things);
    expect(cat).toEqual({ category: 'cat', count: 2, threshold: 0.4, precision: 1, recall: 1, f1: 1 });
    expect(dog).toEqual({ category: 'dog', count: 0, threshold: 0.3, precision: 0, recall: 0, f1: 0 });
    expect(toThresholds([cat, dog])).toEqual({ cat: 0.4, dog: 0.3 });
  });

  it('counts a second detection of one thing, a misplaced one and another category as wrong', () => {
    const detections = [
      [found('cat', 0.9, left), found('cat', 0.8, left), found('cat', 0.7, right), found('dog', 0.6, left)],
    ];
    const things = [[{ category: 'cat', box: left }]];
    const [cat, dog] = calibrateThresholds(['cat', 'dog'], detections, things);
    expect([cat.precision, cat.recall]).toEqual([1, 1]);
    expect(cat.threshold).toBeCloseTo(0.85, 12);
    expect([dog.threshold, dog.f1]).toEqual([0.3, 0]);
  });

  it('keeps equal scores together', () => {
    const detections = [[found('cat', 0.5, left), found('cat', 0.5, right)]];
    const [cat] = calibrateThresholds(['cat'], detections, [[{ category: 'cat', box: left }]]);
    expect([cat.threshold, cat.precision, cat.recall]).toEqual([0.25, 0.5, 1]);
  });

  it('says when the lists are of different pictures', () => {
    expect(() => calibrateThresholds(['cat'], [[]], [])).toThrow(
      'calibrateThresholds: expected detections and things of the same pictures, received 1 and 0 lists.',
    );
  });
});

describe('boxIou', () => {
  it('is 1 for equal boxes, 0 for boxes that only touch, and the shared part in between', () => {
    expect(boxIou(left, left)).toBe(1);
    expect(boxIou(left, right)).toBe(0);
    expect(boxIou(left, [0.25, 0, 0.75, 1])).toBeCloseTo(1 / 3, 12);
    expect(boxIou([0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5])).toBe(0);
  });
});

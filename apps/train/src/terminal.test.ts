import { describe, expect, it } from 'vitest';
import { formatDuration } from './terminal';

describe('formatDuration', () => {
  it.each([
    [0, '0 s'],
    [59.4, '59 s'],
    [75, '1 min 15 s'],
    [3600, '1 h 0 min'],
    [7384, '2 h 3 min'],
    [-1, '0 s'],
    [Infinity, '?'],
    [NaN, '?'],
  ])('says %d seconds as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

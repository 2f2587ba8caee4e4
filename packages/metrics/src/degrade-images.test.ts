import { createRng } from '@sgdiff/nn';
import '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { degradeImages } from './degrade-images';

const size = 4;
const perPicture = size * size * 3;
const images = createRng('pictures')
  .fillUniform(new Float32Array(2 * perPicture))
  .map((x) => 2 * x - 1);
const none = { noise: 0, blur: 0, blocks: 0, colour: 0, untouched: 0 };

describe('degradeImages', () => {
  it('mixes in the mean of the pixels around, of those that there are at the edge', () => {
    const dot = new Float32Array(perPicture);
    dot[0] = 0.9; // red, top left
    const blurred = degradeImages(dot, size, createRng(1), { ...none, blur: 1 });
    const share = 1 - (blurred[0] - 0.9 / 4) / (0.9 - 0.9 / 4); // 4 pixels around the corner
    expect(share).toBeGreaterThan(0);
    expect(blurred[3]).toBeCloseTo((share * 0.9) / 6, 6);
    expect(blurred[size * 3 + 3]).toBeCloseTo((share * 0.9) / 9, 6);
    expect(blurred[6]).toBe(0);
  });

  it('is the same for the same seed, borrows its input and stays in [-1, 1]', () => {
    const before = images.slice();
    const strong = { noise: 2, untouched: 0 };
    const once = degradeImages(images, size, createRng(1), strong);
    expect(degradeImages(images, size, createRng(1), strong)).toEqual(once);
    expect(degradeImages(images, size, createRng(2), strong)).not.toEqual(once);
    expect(images).toEqual(before);
    expect(Math.max(...once.map(Math.abs))).toBe(1);
  });

  it('treats a picture the same whatever else is in the batch', () => {
    const both = degradeImages(images, size, createRng(1));
    expect(degradeImages(images.subarray(0, perPicture), size, createRng(1))).toEqual(both.subarray(0, perPicture));
  });

  it('changes nothing when every strength is 0 or every picture is untouched', () => {
    expect(degradeImages(images, size, createRng(1), none)).toEqual(images);
    expect(degradeImages(images, size, createRng(1), { untouched: 1 })).toEqual(images);
  });

  it('leaves a plain picture plain under blur and blocks, and smooths any other', () => {
    const plain = new Float32Array(perPicture).fill(0.25);
    const smooth = { ...none, blur: 1, blocks: 1 };
    expect(degradeImages(plain, size, createRng(1), smooth)).toBeAllClose(plain, { atol: 1e-6 });
    const variation = (x: Float32Array) => x.reduce((sum, v, i) => sum + (i >= 3 ? Math.abs(v - x[i - 3]) : 0), 0);
    expect(variation(degradeImages(images, size, createRng(1), smooth))).toBeLessThan(0.9 * variation(images));
  });

  it('says when the array holds no whole pictures', () => {
    expect(() => degradeImages(images.subarray(1), size, createRng(1))).toThrow(
      'degradeImages: expected an even size and a multiple of size * size * 3 = 48 values, received size 4 and 95 values.',
    );
  });
});

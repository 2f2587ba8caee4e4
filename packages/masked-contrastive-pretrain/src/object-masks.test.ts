import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '@sgdiff/nn';
import type { Box } from '@sgdiff/sg-schema';
import { objectMasks, PretrainError, rasterizeBoxes, selectObjects, type ImageBoxes } from './index';

const coordinate = fc.float({ min: 0, max: 1, noNaN: true }).map(Number);
const box: fc.Arbitrary<Box | null> = fc.option(
  fc
    .tuple(coordinate, coordinate, coordinate, coordinate)
    .map(([a, b, c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)] as const),
);
const imageBoxes: fc.Arbitrary<ImageBoxes[]> = fc.array(fc.array(box, { maxLength: 6 }), {
  minLength: 1,
  maxLength: 4,
});

describe('objectMasks', () => {
  it('is 0 or 1, and 1 exactly where a cell centre lies in a selected box', () => {
    fc.assert(
      fc.property(
        imageBoxes,
        fc.nat(),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 9 }),
        (boxes, seed, h, w) => {
          const mask = objectMasks(boxes, 0.5, createRng(seed), h, w);
          const selected = selectObjects(boxes, 0.5, createRng(seed));
          const expected = boxes.flatMap((image, b) =>
            Array.from({ length: h * w }, (_, cell) => {
              const [x, y] = [((cell % w) + 0.5) / w, (Math.floor(cell / w) + 0.5) / h];
              const inside = (one: Box | null): boolean =>
                one !== null && one[0] <= x && x < one[2] && one[1] <= y && y < one[3];
              return image.some((one, i) => selected[b]![i] === true && inside(one)) ? 1 : 0;
            }),
          );
          expect([...mask]).toEqual(expected);
        },
      ),
      // Cell centres and random coordinates coincide with probability about 0; exact edges have their own test.
      { numRuns: 200 },
    );
  });

  it('hides nothing at probability 0 and every box at probability 1', () => {
    fc.assert(
      fc.property(imageBoxes, fc.nat(), (boxes, seed) => {
        const never = selectObjects(boxes, 0, createRng(seed)).flat();
        const always = selectObjects(boxes, 1, createRng(seed)).flat();
        expect(never.some(Boolean)).toBe(false);
        expect(always).toEqual(boxes.flat().map((one) => one !== null));
      }),
    );
  });

  it('hides about the asked share of objects', () => {
    const boxes: ImageBoxes[] = Array.from({ length: 500 }, () => [[0, 0, 1, 1], null, [0, 0, 1, 1]]);
    const hidden = selectObjects(boxes, 0.3, createRng(1)).flat().filter(Boolean).length;
    // 1000 draws of probability 0.3: standard deviation 14.5.
    expect(Math.abs(hidden - 300)).toBeLessThan(60);
  });

  it('draws for each image whatever the rest of the batch is', () => {
    const images: ImageBoxes[] = [[[0, 0, 1, 1]], [[0, 0, 0.5, 1], null, [0.5, 0, 1, 1]], [[0, 0, 1, 0.5]]];
    for (const seed of Array.from({ length: 20 }, (_, i) => i)) {
      const two = objectMasks(images.slice(0, 2), 0.5, createRng(seed), 4, 4);
      const three = objectMasks(images, 0.5, createRng(seed), 4, 4);
      expect([...three.slice(0, 32)]).toEqual([...two]);
    }
  });

  it('never hides the whole image for want of __image__: outside all boxes everything stays visible', () => {
    const mask = objectMasks([[[0, 0, 0.5, 0.5]]], 1, createRng(1), 4, 4);
    expect([...mask]).toEqual([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('rasterizeBoxes', () => {
  it('is half-open: boxes that share an edge share no cell and leave none out', () => {
    const left = rasterizeBoxes([[[0, 0, 0.375, 1]]], [[true]], 1, 4); // 0.375 is the centre of cell 1
    const right = rasterizeBoxes([[[0.375, 0, 1, 1]]], [[true]], 1, 4);
    expect([...left]).toEqual([1, 0, 0, 0]);
    expect([...right]).toEqual([0, 1, 1, 1]);
  });

  it('makes a union of overlapping boxes', () => {
    const boxes: ImageBoxes = [[0, 0, 1, 1], [0, 0, 1, 1], [0.5, 0, 1, 1]]; // prettier-ignore
    expect([...rasterizeBoxes([boxes], [[true, true, true]], 1, 4)]).toEqual([1, 1, 1, 1]);
  });

  it('hides nothing for a box of zero width or height', () => {
    const boxes: ImageBoxes = [[0.375, 0, 0.375, 1], [0, 0.5, 1, 0.5]]; // prettier-ignore
    expect([...rasterizeBoxes([boxes], [[true, true]], 4, 4)].every((x) => x === 0)).toBe(true);
  });
});

describe('selectObjects', () => {
  it('refuses a probability outside [0, 1]', () => {
    const run = (): unknown => selectObjects([[]], 1.5, createRng(1));
    expect(run).toThrow(PretrainError);
    expect(run).toThrow('selectObjects: expected a maskProbability in [0, 1], received 1.5.');
  });
});

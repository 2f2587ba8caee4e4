import { describe, expect, it } from 'vitest';
import { boxOfThing } from './extent';
import { sampleScene, SPLITS, type Split } from './scene';
import { SPRITES } from './sprites';
import { sceneToIdSvg, sceneToSvg } from './svg';
import { AIRBORNE, PART_WORDS, THING_WORDS } from './vocabulary';

const scenes = Array.from({ length: 400 }, (_, index) => sampleScene({ seed: 5, split: 'train', index }));

describe('sampleScene', () => {
  it('gives the same scene for the same address, in any order, and it survives JSON', () => {
    const late = sampleScene({ seed: 5, split: 'train', index: 17 });
    expect(late).toEqual(scenes[17]);
    expect(JSON.parse(JSON.stringify(late))).toEqual(late);
    expect(sceneToSvg(JSON.parse(JSON.stringify(late)), 64)).toBe(sceneToSvg(late, 64));
  });

  it('never gives the same scene in two splits, under two seeds or at two indices', () => {
    const drawn = new Map<string, string>();
    for (const split of SPLITS) {
      for (const seed of [0, 1]) {
        for (let index = 0; index < 60; index++) {
          drawn.set(sceneToSvg(sampleScene({ seed, split, index }), 64), `${split} ${seed} ${index}`);
        }
      }
    }
    expect(drawn.size).toBe(SPLITS.length * 2 * 60);
  });

  it('has one to four things, inside the frame, farther ones first', () => {
    for (const { things } of scenes) {
      expect(things.length).toBeGreaterThanOrEqual(1);
      expect(things.length).toBeLessThanOrEqual(4);
      for (const thing of things) {
        const [x0, y0, x1, y1] = boxOfThing(thing);
        expect(Math.min(x0, y0)).toBeGreaterThanOrEqual(0);
        expect(Math.max(x1, y1)).toBeLessThanOrEqual(64);
      }
      const grounded = things.filter(({ support }) => support !== 'sky').map(({ y }) => y);
      expect(grounded).toEqual([...grounded].sort((a, b) => a - b));
    }
  });

  it('shows every word: each part in over 8 % of scenes, each thing in over 2 %', () => {
    const share = (word: string) =>
      scenes.filter(({ parts, things }) => [...parts, ...things].some(({ category }) => category === word)).length /
      600;
    for (const word of PART_WORDS) expect([word, share(word) > 0.08]).toEqual([word, true]);
    for (const word of THING_WORDS) expect([word, share(word) > 0.02]).toEqual([word, true]);
  });

  it('shows two of a kind in at least 30 % of scenes', () => {
    const twins = scenes.filter(({ things }) => new Set(things.map(({ category }) => category)).size < things.length);
    expect(twins.length / scenes.length).toBeGreaterThan(0.3);
  });

  it('keeps land things off the water and fliers in the sky', () => {
    for (const { things, parts } of scenes) {
      for (const { category, support } of things) {
        expect(parts.some((part) => part.category === support)).toBe(true);
        if (support === 'ocean') expect(category).toBe('boat');
        if (support === 'sky') expect(AIRBORNE.has(category)).toBe(true);
        if (category === 'plane' || category === 'kite') expect(support).toBe('sky');
      }
    }
  });

  it('says what is wrong with an address', () => {
    expect(() => sampleScene({ seed: 1.5, split: 'train', index: 0 })).toThrow(
      'sampleScene: expected seed to be an integer in [0, 2^32), received 1.5.',
    );
    expect(() => sampleScene({ seed: 1, split: 'train', index: -1 })).toThrow(
      'sampleScene: expected index to be an integer in [0, 2^32), received -1.',
    );
    expect(() => sampleScene({ seed: 1, split: 'all' as Split, index: 0 })).toThrow(
      'sampleScene: expected a split of train, validation, test, detector, received all.',
    );
  });
});

describe('sceneToSvg and sceneToIdSvg', () => {
  it('scale by the view box alone', () => {
    expect(sceneToSvg(scenes[3], 256).replaceAll('"256"', '"64"')).toBe(sceneToSvg(scenes[3], 64));
    expect(sceneToIdSvg(scenes[3], 128).replaceAll('"128"', '"64"')).toBe(sceneToIdSvg(scenes[3], 64));
  });

  it('stay small and hold no number that is not finite', () => {
    for (const scene of scenes.slice(0, 100)) {
      const svg = sceneToSvg(scene, 64) + sceneToIdSvg(scene, 64);
      expect(svg.length).toBeLessThan(24000);
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    }
  });

  it('give each thing at least one shape for each look', () => {
    for (const word of THING_WORDS) {
      for (let choice = 0; choice < 12; choice++) {
        expect(SPRITES[word].draw({ colour: choice, form: choice }).some((shape) => !shape.inner)).toBe(true);
      }
    }
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '@sgdiff/nn';
import { createVocabulary, packGraphs, type SceneGraph } from '@sgdiff/sg-schema';
import { contradictGraphs, oppositeIndices } from './index';

const vocabulary = createVocabulary(
  ['__image__', 'sky', 'grass', 'sheep', 'tree'],
  ['__in_image__', 'left of', 'right of', 'on', 'above', 'below'],
);
const graphs: SceneGraph[] = [
  { objects: ['sky', 'grass'], relationships: [[0, 'above', 1]] },
  { objects: ['sheep'], relationships: [] },
  { objects: ['sheep', 'grass'], relationships: [[0, 'on', 1]] },
];
const packed = packGraphs(graphs, vocabulary, { maxTriples: 15 });
const opposites = oppositeIndices(vocabulary);

describe('oppositeIndices', () => {
  it('pairs what cannot hold together, and leaves the rest and words the vocabulary lacks', () => {
    expect([...opposites]).toEqual([-1, 2, 1, -1, 5, 4]);
  });
});

describe('contradictGraphs', () => {
  it('changes exactly one thing in every graph: a word that it did not use, or a predicate to its opposite', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const wrong = contradictGraphs(packed, createRng(seed), { objectCount: 5, opposites });
        for (let b = 0; b < packed.batch; b++) {
          const { objectSlots: O, tripleSlots: T } = packed;
          const objects = [...packed.objects.subarray(b * O, (b + 1) * O)];
          const newObjects = [...wrong.objects.subarray(b * O, (b + 1) * O)];
          const predicates = [...packed.predicates.subarray(b * T, (b + 1) * T)];
          const newPredicates = [...wrong.predicates.subarray(b * T, (b + 1) * T)];
          const renamed = newObjects.flatMap((word, i) => (word === objects[i] ? [] : [i]));
          const turned = newPredicates.flatMap((word, i) => (word === predicates[i] ? [] : [i]));
          expect(renamed.length + turned.length).toBe(1);
          for (const i of renamed) {
            kinds.add('word');
            expect(packed.objectMask[b * O + i]).toBe(1);
            expect(objects[i]).not.toBe(0);
            expect(objects).not.toContain(newObjects[i]);
          }
          for (const i of turned) {
            kinds.add('predicate');
            expect(newPredicates[i]).toBe(opposites[predicates[i]!]);
          }
        }
      }),
    );
    expect([...kinds].sort()).toEqual(['predicate', 'word']);
  });

  it('does not write to its input', () => {
    const before = [[...packed.objects], [...packed.predicates]];
    contradictGraphs(packed, createRng(3), { objectCount: 5, opposites });
    expect([[...packed.objects], [...packed.predicates]]).toEqual(before);
  });
});

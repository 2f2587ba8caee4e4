import fc from 'fast-check';

import type { Box, SceneGraph, Triple, Vocabulary } from '../src';

import { createVocabulary, GAP_WORD, IMAGE_OBJECT, IN_IMAGE_PREDICATE } from '../src';

const RESERVED = [IMAGE_OBJECT, IN_IMAGE_PREDICATE, GAP_WORD];

/** Any word that a graph may hold: quotes, line ends, numbers, emoji and half characters among them. */
export const anyWord = fc
  .oneof(
    fc.constantFrom(
      'sheep',
      'polar bear',
      'standing on',
      '5" disc',
      'a\\',
      'a;b',
      '66',
      'route 66',
      ' lead',
      '__proto__',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }),
  )
  .filter((word) => word.trim() !== '' && !RESERVED.includes(word));

/** Words of one to three short tokens from a small alphabet, so that cutting them apart is ambiguous as often as possible. */
export const ambiguousWord = fc
  .array(fc.constantFrom('a', 'b', 'on', 'A', '2', 'x'), { minLength: 1, maxLength: 3 })
  .map((tokens) => tokens.join(' '));

export function vocabularyOf(word: fc.Arbitrary<string>): fc.Arbitrary<Vocabulary> {
  return fc
    .tuple(fc.uniqueArray(word, { minLength: 1, maxLength: 6 }), fc.uniqueArray(word, { minLength: 1, maxLength: 6 }))
    .map(([objects, predicates]) => createVocabulary(objects, predicates));
}

/** Graphs over the words of a vocabulary, with no object related to itself. */
export function graphOver(
  vocabulary: Vocabulary,
  { extras = false, maxObjects = 6 }: { extras?: boolean; maxObjects?: number } = {},
): fc.Arbitrary<SceneGraph> {
  const objectWord = fc.constantFrom(...vocabulary.objects.slice(1));
  const predicate = fc.constantFrom(...vocabulary.predicates.slice(1));
  return fc.array(objectWord, { minLength: 1, maxLength: maxObjects }).chain((objects) => {
    const n = objects.length;
    const position = fc.nat({ max: n - 1 });
    const relationships: fc.Arbitrary<Triple[]> =
      n < 2
        ? fc.constant([])
        : fc.array(
            fc
              .tuple(position, predicate, fc.integer({ min: 1, max: n - 1 }))
              .map(([subject, word, step]): Triple => [subject, word, (subject + step) % n]),
            { maxLength: 8 },
          );
    if (!extras) return fc.record({ objects: fc.constant(objects), relationships });
    return fc.record(
      {
        objects: fc.constant(objects),
        relationships,
        ids: fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: n, maxLength: n }),
        boxes: fc.array(fc.option(box), { minLength: n, maxLength: n }),
        weights: fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: n, maxLength: n }),
        negative: fc.record({ objects: fc.constant(objects), relationships }),
      },
      { requiredKeys: ['objects', 'relationships'] },
    );
  });
}

const edge = fc.double({ min: 0, max: 1, noNaN: true });

export const box: fc.Arbitrary<Box> = fc
  .tuple(edge, edge, edge, edge)
  .filter(([xa, ya, xb, yb]) => xa !== xb && ya !== yb)
  .map(([xa, ya, xb, yb]): Box => [Math.min(xa, xb), Math.min(ya, yb), Math.max(xa, xb), Math.max(ya, yb)]);

/** A vocabulary and a graph over it. */
export function graphAndVocabulary(
  word: fc.Arbitrary<string> = anyWord,
  options?: { extras?: boolean; maxObjects?: number },
): fc.Arbitrary<{ vocabulary: Vocabulary; graph: SceneGraph }> {
  return vocabularyOf(word).chain((vocabulary) =>
    graphOver(vocabulary, options).map((graph) => ({ vocabulary, graph })),
  );
}

/** Freezes all of a tree, so that a write to it throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}

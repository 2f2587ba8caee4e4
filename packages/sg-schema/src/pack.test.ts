import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { PackedGraphs, PackOptions } from './pack';
import type { SceneGraph, Triple } from './types';

import { anyWord, deepFreeze, graphOver, vocabularyOf } from '../test/arbitraries';
import { SceneGraphError } from './issues';
import { PackError, packGraphs } from './pack';
import { createVocabulary } from './vocabulary';

const vocabulary = createVocabulary(['sky', 'grass', 'sheep', 'tree'], ['above', 'standing on', 'by']);

const two: SceneGraph = { objects: ['sheep', 'grass'], relationships: [[0, 'standing on', 1]] };
const three: SceneGraph = {
  objects: ['sky', 'tree', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'by', 1],
  ],
};

const batch = vocabularyOf(anyWord).chain((vocabulary) =>
  fc
    .array(graphOver(vocabulary), { minLength: 1, maxLength: 4 })
    .map((graphs) => ({ vocabulary, graphs: deepFreeze(graphs) })),
);

/** The triples of one graph as they stand in the arrays, padding left out. */
function triplesOf(packed: PackedGraphs, b: number): number[][] {
  const { tripleSlots: T, subjects, predicates, tripleObjects, tripleMask } = packed;
  return Array.from({ length: T }, (_, t) => b * T + t)
    .filter((at) => tripleMask[at] === 1)
    .map((at) => [subjects[at]!, predicates[at]!, tripleObjects[at]!]);
}

function objectsOf(packed: PackedGraphs, b: number): number[] {
  const { objectSlots: O, objects, objectMask } = packed;
  return Array.from({ length: O }, (_, o) => b * O + o)
    .filter((at) => objectMask[at] === 1)
    .map((at) => objects[at]!);
}

describe('packGraphs', () => {
  it('appends __image__ and one __in_image__ triple per object', () => {
    const packed = packGraphs([two, three], vocabulary, { maxTriples: 15 });
    expect(packed).toEqual({
      batch: 2,
      objectSlots: 4,
      tripleSlots: 5,
      objects: Int32Array.of(3, 2, 0, 0, /**/ 1, 4, 3, 0),
      objectMask: Float32Array.of(1, 1, 1, 0, /**/ 1, 1, 1, 1),
      subjects: Int32Array.of(0, 0, 1, 0, 0, /**/ 0, 2, 0, 1, 2),
      predicates: Int32Array.of(2, 0, 0, 0, 0, /**/ 1, 3, 0, 0, 0),
      tripleObjects: Int32Array.of(1, 2, 2, 0, 0, /**/ 1, 1, 3, 3, 3),
      tripleMask: Float32Array.of(1, 1, 1, 0, 0, /**/ 1, 1, 1, 1, 1),
      tripleWeights: Float32Array.of(1, 1, 1, 0, 0, /**/ 1, 1, 1, 1, 1),
      dropped: [],
    });
  });

  it('multiplies the weight of a relation by those of its objects', () => {
    const weighted = { ...three, weights: [0.5, 2, 3], relationshipWeights: [1, 4] };
    const { tripleWeights } = packGraphs([two, weighted], vocabulary, { maxTriples: 15 });
    expect(tripleWeights).toEqual(Float32Array.of(1, 1, 1, 0, 0, /**/ 1, 24, 0.5, 2, 3)); // [0, _, 1], [2, _, 1]
    const one = { ...three, relationshipWeights: [0, 4] };
    expect(packGraphs([one], vocabulary, { maxTriples: 15 }).tripleWeights).toEqual(Float32Array.of(0, 4, 1, 1, 1));
  });

  it('holds every word and relation of every graph', () => {
    fc.assert(
      fc.property(batch, ({ vocabulary, graphs }) => {
        const packed = packGraphs(graphs, vocabulary, { maxTriples: 100 });
        graphs.forEach(({ objects, relationships }, b) => {
          const n = objects.length;
          expect(objectsOf(packed, b)).toEqual([...objects.map((word) => vocabulary.objectIndex(word)), 0]);
          expect(triplesOf(packed, b)).toEqual([
            ...relationships.map(([s, predicate, o]) => [s, vocabulary.predicateIndex(predicate), o]),
            ...objects.map((_, i) => [i, 0, n]),
          ]);
        });
      }),
    );
  });

  it('packs each graph as it would alone, whatever else is in the batch and however many slots there are', () => {
    const slack = fc.record({ objects: fc.nat({ max: 3 }), triples: fc.nat({ max: 3 }) });
    fc.assert(
      fc.property(batch, slack, ({ vocabulary, graphs }, more) => {
        const tight = packGraphs(graphs, vocabulary, { maxTriples: 100 });
        const loose = packGraphs(graphs, vocabulary, {
          maxTriples: 100,
          objectSlots: tight.objectSlots + more.objects,
          tripleSlots: tight.tripleSlots + more.triples,
        });
        graphs.forEach((graph, b) => {
          const alone = packGraphs([graph], vocabulary, { maxTriples: 100 });
          for (const packed of [tight, loose]) {
            expect(objectsOf(packed, b)).toEqual(objectsOf(alone, 0));
            expect(triplesOf(packed, b)).toEqual(triplesOf(alone, 0));
          }
        });
      }),
    );
  });

  it('writes 0 to all padding', () => {
    const packed = packGraphs([two], vocabulary, { maxTriples: 15, objectSlots: 6, tripleSlots: 7 });
    for (const list of [packed.objects, packed.objectMask]) expect([...list.slice(3)]).toEqual([0, 0, 0]);
    for (const list of [packed.subjects, packed.predicates, packed.tripleObjects, packed.tripleMask]) {
      expect([...list.slice(3)]).toEqual([0, 0, 0, 0]);
    }
  });

  it('commutes with any reordering of the objects', () => {
    fc.assert(
      fc.property(
        batch,
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        ({ vocabulary, graphs }, keys) => {
          const graph = graphs[0]!;
          const n = graph.objects.length;
          const sortKeys = graph.objects.map(() => keys.next().value as number);
          const order = [...Array(n).keys()].sort((a, b) => sortKeys[a]! - sortKeys[b]! || a - b); // new place -> old place
          const shuffled: SceneGraph = {
            objects: order.map((old) => graph.objects[old]!),
            relationships: graph.relationships.map(([s, predicate, o]): Triple => [
              order.indexOf(s),
              predicate,
              order.indexOf(o),
            ]),
          };
          const packed = packGraphs([graph], vocabulary, { maxTriples: 100 });
          const moved = packGraphs([shuffled], vocabulary, { maxTriples: 100 });
          const oldSlot = [...order, n];
          expect(objectsOf(moved, 0)).toEqual(oldSlot.map((old) => objectsOf(packed, 0)[old]));
          const movedBack = triplesOf(moved, 0).map(([s, p, o]) => [oldSlot[s!]!, p!, oldSlot[o!]!]);
          const real = graph.relationships.length;
          expect(movedBack.slice(0, real)).toEqual(triplesOf(packed, 0).slice(0, real));
          expect(movedBack.slice(real).sort((a, b) => a[0]! - b[0]!)).toEqual(triplesOf(packed, 0).slice(real));
        },
      ),
    );
  });

  it('keeps the first triples and lists the rest where it may drop', () => {
    const packed = packGraphs([two, three], vocabulary, { maxTriples: 3, overflow: 'drop' });
    expect(packed.tripleSlots).toBe(3);
    expect(triplesOf(packed, 1)).toEqual([
      [0, 1, 1],
      [2, 3, 1],
      [0, 0, 3],
    ]);
    expect(packed.dropped).toEqual([
      { graph: 1, triple: [1, '__in_image__', 3] },
      { graph: 1, triple: [2, '__in_image__', 3] },
    ]);
    const fewer = packGraphs([three], vocabulary, { maxTriples: 1, overflow: 'drop' });
    expect(fewer.dropped.map(({ triple }) => triple)).toEqual([
      [2, 'by', 1],
      [0, '__in_image__', 3],
      [1, '__in_image__', 3],
      [2, '__in_image__', 3],
    ]);
  });

  it('loses no triple: what is packed and what is dropped are all there are', () => {
    fc.assert(
      fc.property(batch, fc.integer({ min: 1, max: 12 }), ({ vocabulary, graphs }, maxTriples) => {
        const packed = packGraphs(graphs, vocabulary, { maxTriples, overflow: 'drop' });
        graphs.forEach((graph, b) => {
          const dropped = packed.dropped
            .filter((entry) => entry.graph === b)
            .map(({ triple: [s, predicate, o] }) => [s, vocabulary.predicateIndex(predicate), o]);
          const whole = packGraphs([graph], vocabulary, { maxTriples: 100 });
          expect([...triplesOf(packed, b), ...dropped]).toEqual(triplesOf(whole, 0));
          expect(triplesOf(packed, b).length).toBeLessThanOrEqual(maxTriples);
        });
      }),
    );
  });

  it('gives a graph without objects the image alone', () => {
    const packed = packGraphs([{ objects: [], relationships: [] }], vocabulary, { maxTriples: 15 });
    expect([...packed.objectMask]).toEqual([1]);
    expect([...packed.tripleMask]).toEqual([0]);
  });

  it.each<[graphs: SceneGraph[], options: PackOptions, message: string]>([
    [
      [two, three],
      { maxTriples: 4 },
      'packGraphs: [1].relationships: expected at most 4 triples, received 5 ' +
        '(2 relations and 3 objects, each of which takes one __in_image__ triple); remove relations or objects, ' +
        "or pass overflow: 'drop' to leave the last ones out: there is no room for " +
        'the __in_image__ triple of [1].objects[2] "sheep".',
    ],
    [
      [two, { objects: ['shep'], relationships: [] }],
      { maxTriples: 15 },
      'packGraphs: [1].objects[0]: expected one of the 4 known objects, received "shep"; perhaps "sheep" is meant.',
    ],
    [
      [{ objects: ['sheep', 'tree'], relationships: [[0, 'buy', 1]] }],
      { maxTriples: 15 },
      'packGraphs: [0].relationships[0][1]: expected one of the 3 known predicates, received "buy"; perhaps "by" is meant.',
    ],
    [
      [{ objects: ['sheep', 'tree'], relationships: [[0, 'by', 2]] }],
      { maxTriples: 15 },
      'packGraphs: [0].relationships[0][2]: expected the position of an object, 0 to 1, received 2; ' +
        'correct the position or add the object that it should point to.',
    ],
  ])('refuses graphs that it cannot pack, case %#', (graphs, options, message) => {
    expect(() => packGraphs(graphs, vocabulary, options)).toThrow(SceneGraphError);
    expect(() => packGraphs(graphs, vocabulary, options)).toThrow(expect.objectContaining({ message }) as Error);
  });

  it.each<[graphs: SceneGraph[], options: PackOptions, message: string]>([
    [[], { maxTriples: 15 }, 'packGraphs: expected at least one graph, received none. Pass a graph.'],
    [
      [two],
      { maxTriples: 0 },
      "packGraphs: expected maxTriples to be a whole number of at least 1, received 0. Pass the number from the model's config.",
    ],
    [
      [two, three],
      { maxTriples: 15, objectSlots: 3 },
      'packGraphs: expected objectSlots of at least 4, received 3: graph 1 has 4 objects, __image__ included. ' +
        'Raise objectSlots or leave it out.',
    ],
    [
      [two, three],
      { maxTriples: 15, tripleSlots: 4 },
      'packGraphs: expected tripleSlots of at least 5, received 4: graph 1 has 5 triples, __in_image__ included. ' +
        'Raise tripleSlots or leave it out.',
    ],
    [
      [two],
      { maxTriples: 15, overflow: 'first' as 'drop' },
      "packGraphs: expected overflow to be 'error' or 'drop', received \"first\". For an encoder whose overflow is 'first', pass a " +
        'maxTriples that all graphs fit in: it gives tokens to the first ones itself.',
    ],
    [
      [two],
      { maxTriples: 15, tripleSlots: 3.5 },
      "packGraphs: expected tripleSlots to be a whole number of at least 1, received 3.5. Pass the number from the model's config.",
    ],
  ])('refuses options that do not fit, case %#', (graphs, options, message) => {
    expect(() => packGraphs(graphs, vocabulary, options)).toThrow(new PackError(message));
  });
});

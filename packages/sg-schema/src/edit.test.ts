import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { SceneGraph } from './types';

import { anyWord, box, deepFreeze, graphAndVocabulary } from '../test/arbitraries';
import { addObject, relate, removeObject, renameObject, renameRelation, unrelate, withIds } from './edit';
import { parseSceneGraph } from './parse';
import { sceneGraphToJson } from './scene-graph-json';

const graph: SceneGraph = {
  objects: ['sky', 'grass', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
  ],
};

/** Any graph, frozen so that a change to it throws. */
const anyGraph = graphAndVocabulary(anyWord, { extras: true }).map(({ graph }) => deepFreeze(graph));

describe('withIds', () => {
  it('names objects by position, and keeps names that are there', () => {
    expect(withIds(graph).ids).toEqual(['o0', 'o1', 'o2']);
    const named = { ...graph, ids: ['a', 'b', 'c'] };
    expect(withIds(named)).toBe(named);
  });
});

describe('addObject', () => {
  it('appends an object with an id of its own', () => {
    const more = addObject(graph, 'tree');
    expect(more.objects).toEqual(['sky', 'grass', 'sheep', 'tree']);
    expect(more.ids).toEqual(['o0', 'o1', 'o2', 'o3']);
    expect(more.relationships).toEqual(graph.relationships);
    expect(addObject(removeObject(more, 'o0'), 'boat').ids).toEqual(['o1', 'o2', 'o3', 'o4']);
    expect(addObject(graph, 'tree', { id: 'oak' }).ids!.at(-1)).toBe('oak');
  });

  it('fills boxes and weights of the others where the new object is the first to have one', () => {
    const placed = addObject(graph, 'tree', { box: [0, 0, 0.5, 1], weight: 2 });
    expect(placed.boxes).toEqual([null, null, null, [0, 0, 0.5, 1]]);
    expect(placed.weights).toEqual([1, 1, 1, 2]);
    const plain = addObject(placed, 'boat');
    expect(plain.boxes!.at(-1)).toBeNull();
    expect(plain.weights!.at(-1)).toBe(1);
  });
});

describe('removeObject', () => {
  it('takes its relations along and moves positions, while ids stay', () => {
    const less = removeObject(graph, 0);
    expect(less.objects).toEqual(['grass', 'sheep']);
    expect(less.relationships).toEqual([[1, 'standing on', 0]]);
    expect(less.ids).toEqual(['o1', 'o2']);
    expect(removeObject(less, 'o1')).toEqual({ objects: ['sheep'], relationships: [], ids: ['o2'] });
  });

  it('undoes addObject', () => {
    fc.assert(
      fc.property(anyGraph, anyWord, fc.option(box, { nil: undefined }), (base, word, place) => {
        const before = withIds(base);
        const options = before.boxes && place ? { box: place } : {};
        const added = addObject(before, word, options);
        expect(removeObject(added, added.ids!.at(-1)!)).toEqual(before);
      }),
    );
  });

  it('keeps what each id stands for', () => {
    fc.assert(
      fc.property(anyGraph, fc.nat(), (base, n) => {
        const before = withIds(base);
        const gone = n % before.objects.length;
        const after = removeObject(before, gone);
        const facts = (g: SceneGraph): unknown[] =>
          g.objects.map((word, i) => [g.ids![i], word, g.boxes?.[i], g.weights?.[i]]);
        expect(facts(after)).toEqual(facts(before).filter((_, i) => i !== gone));
        const named = (g: SceneGraph, triples = g.relationships): unknown[] =>
          triples.map(([subject, predicate, object]) => [g.ids![subject], predicate, g.ids![object]]);
        const others = before.relationships.filter(([subject, , object]) => subject !== gone && object !== gone);
        expect(named(after)).toEqual(named(before, others));
      }),
    );
  });
});

describe('renameObject', () => {
  it('changes the word only', () => {
    expect(renameObject(graph, 'o2', 'zebra')).toEqual({ ...withIds(graph), objects: ['sky', 'grass', 'zebra'] });
  });

  it('is undone by the old word', () => {
    fc.assert(
      fc.property(anyGraph, fc.nat(), anyWord, (base, n, word) => {
        const place = n % base.objects.length;
        const renamed = renameObject(base, place, word);
        expect(renameObject(renamed, renamed.ids![place]!, base.objects[place]!)).toEqual(withIds(base));
      }),
    );
  });
});

describe('relate, unrelate and renameRelation', () => {
  it('keep each weight at its relation', () => {
    expect(relate(graph, 2, 'under', 0).relationshipWeights).toBeUndefined();
    const more = relate(graph, 2, 'under', 0, { weight: 3 });
    expect(more.relationshipWeights).toEqual([1, 1, 3]);
    expect(relate(more, 1, 'under', 0).relationshipWeights).toEqual([1, 1, 3, 1]);
    expect(unrelate(more, 1).relationshipWeights).toEqual([1, 3]);
    expect(renameRelation(more, 1, 'by').relationshipWeights).toEqual([1, 1, 3]);
    expect(removeObject(more, 1).relationshipWeights).toEqual([3]);
  });

  it('add, remove and change a relation', () => {
    const more = relate(graph, 'o2', 'under', 'o0');
    expect(more.relationships).toEqual([...graph.relationships, [2, 'under', 0]]);
    expect(unrelate(more, 0).relationships).toEqual([
      [2, 'standing on', 1],
      [2, 'under', 0],
    ]);
    expect(renameRelation(graph, 1, 'eating').relationships).toEqual([
      [0, 'above', 1],
      [2, 'eating', 1],
    ]);
  });

  it('are inverse', () => {
    fc.assert(
      fc.property(anyGraph, fc.nat(), fc.nat(), anyWord, (base, s, o, predicate) => {
        const n = base.objects.length;
        const related = relate(base, s % n, predicate, o % n, { selfRelations: 'allow' });
        const last = base.relationships.length;
        expect(unrelate(related, last)).toEqual(withIds(base));
        expect(renameRelation(renameRelation(related, last, 'x'), last, predicate)).toEqual(related);
      }),
    );
  });
});

describe('all edits', () => {
  it('give graphs that parse, and leave the given one as it was', () => {
    fc.assert(
      fc.property(anyGraph, fc.nat(), fc.nat(), anyWord, (base, n, m, word) => {
        const before = structuredClone(base);
        const place = n % base.objects.length;
        const edited = [
          addObject(base, word, { box: [0, 0, 1, 1], weight: 0.5 }),
          renameObject(base, place, word),
          ...(base.objects.length > 1 ? [removeObject(base, place)] : []),
          ...(base.objects.length > 1 ? [relate(base, place, word, (place + 1) % base.objects.length)] : []),
          ...(base.relationships.length > 0 ? [unrelate(base, m % base.relationships.length)] : []),
        ];
        for (const result of edited) expect(parseSceneGraph(sceneGraphToJson(result))).toEqual(result);
        expect(base).toEqual(before);
      }),
    );
  });

  it.each([
    [
      () => addObject(graph, ' '),
      'addObject: objects[3]: expected the word of an object, received " "; write what the object is.',
    ],
    [
      () => addObject(graph, '__image__'),
      'addObject: objects[3]: expected the word of an object, received the reserved "__image__"; ' +
        'leave __image__ and its __in_image__ relations out, they are added when the graph is packed.',
    ],
    [
      () => addObject(graph, 'tree', { id: 'o1' }),
      'addObject: ids[3]: expected an id that no other object has, received "o1", which is also at 1; choose another id.',
    ],
    [
      () => addObject(graph, 'tree', { id: '' }),
      'addObject: ids[3]: expected a name that is not empty, received ""; leave the id out to get one.',
    ],
    [
      () => removeObject(graph, 3),
      'removeObject: objects: expected the position of an object, 0 to 2, received 3; use a position or an id from the graph.',
    ],
    [
      () => removeObject({ objects: [], relationships: [] }, 0),
      'removeObject: objects: expected no position, as there are no objects, received 0; use a position or an id from the graph.',
    ],
    [
      () => renameObject(graph, 'sheep', 'zebra'),
      'renameObject: ids: expected the id of an object, received "sheep"; use one of: o0, o1, o2.',
    ],
    [
      () => renameObject(graph, 0, ''),
      'renameObject: objects[0]: expected the word of an object, received ""; write what the object is.',
    ],
    [
      () => relate(graph, 1, 'on', 1),
      'relate: relationships[2]: expected a relation between two objects, received one of "grass" with itself; ' +
        'choose another object, or add a second "grass".',
    ],
    [
      () => relate(graph, 0, '', 1),
      'relate: relationships[2][1]: expected the word of a predicate, received ""; write how the two objects relate.',
    ],
    [
      () => unrelate(graph, 2),
      'unrelate: relationships: expected a position in the list of 2 relations, received 2; use a position in relationships, counting from 0.',
    ],
    [
      () => renameRelation({ objects: ['sky'], relationships: [] }, 0, 'on'),
      'renameRelation: relationships: expected no relation, as there are none, received 0; use a position in relationships, counting from 0.',
    ],
  ])('refuse what is not there, case %#', (edit, message) => {
    expect(edit).toThrow(message);
    expect(edit).toThrow(expect.objectContaining({ name: 'SceneGraphError', message }) as Error);
  });
});

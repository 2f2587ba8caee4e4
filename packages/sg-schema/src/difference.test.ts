import type { SceneGraph } from './types';

import { describe, expect, it } from 'vitest';
import {
  addObject,
  graphDifference,
  relate,
  removeObject,
  renameObject,
  renameRelation,
  unrelate,
  withIds,
} from './index';

const GRAPH: SceneGraph = {
  objects: ['sky', 'grass', 'sheep', 'sheep'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
    [3, 'left of', 2],
  ],
};
const NOTHING = {
  objects: { added: [], removed: [], changed: [] },
  relationships: { added: [], removed: [] },
  negative: false,
};
const difference = (objects: object, relationships: object = {}) => ({
  ...NOTHING,
  objects: { ...NOTHING.objects, ...objects },
  relationships: { ...NOTHING.relationships, ...relationships },
});

// Once as the edits leave the graphs, with ids, and once as someone wrote them who knows of none.
describe.each([
  ['with ids', (graph: SceneGraph) => graph],
  ['without ids', ({ ids: _, ...graph }: SceneGraph): SceneGraph => graph],
])('graphDifference %s', (_, form) => {
  const told = (after: SceneGraph) => graphDifference(GRAPH, form(after));

  it('is nothing for the same graph, whatever its ids and the order of its relations', () => {
    expect(told(GRAPH)).toEqual(NOTHING);
    expect(told(withIds(GRAPH))).toEqual(NOTHING);
    expect(told({ ...GRAPH, relationships: [...GRAPH.relationships].reverse() })).toEqual(NOTHING);
  });

  it('names a renamed object in both graphs, and does not count its relations as changed', () => {
    expect(told(renameObject(GRAPH, 3, 'zebra'))).toEqual(difference({ changed: [[3, 3]] }));
  });

  it('names an added object with its relations', () => {
    const grown = relate(addObject(GRAPH, 'tree'), 4, 'behind', 2);
    expect(told(grown)).toEqual(difference({ added: [4] }, { added: [3] }));
  });

  it('names a removed object with its relations', () => {
    expect(told(removeObject(GRAPH, 3))).toEqual(difference({ removed: [3] }, { removed: [2] }));
  });

  it('names a relation that changed, in both graphs', () => {
    expect(told(renameRelation(GRAPH, 2, 'right of'))).toEqual(difference({}, { added: [2], removed: [2] }));
    expect(told(unrelate(GRAPH, 0))).toEqual(difference({}, { removed: [0] }));
    expect(told(relate(GRAPH, 2, 'standing on', 1))).toEqual(difference({}, { added: [3] })); // said a second time
  });
});

describe('graphDifference', () => {
  it('follows an object by its id while its position and word change', () => {
    const before = withIds(GRAPH);
    const after = renameObject(removeObject(before, 2), 'o3', 'zebra');
    expect(graphDifference(before, after)).toEqual(
      difference({ removed: [2], changed: [[3, 2]] }, { removed: [1, 2] }),
    );
  });

  it('takes graphs with no id in common by their words', () => {
    const other = { ...GRAPH, objects: ['sky', 'grass', 'sheep', 'cow'], ids: ['a', 'b', 'c', 'd'] };
    expect(graphDifference(withIds(GRAPH), other)).toEqual(difference({ changed: [[3, 3]] }));
  });

  it('counts a word with another number of others as added or removed', () => {
    expect(graphDifference({ objects: ['a'], relationships: [] }, { objects: ['b', 'c'], relationships: [] })).toEqual(
      difference({ changed: [[0, 0]], added: [1] }),
    );
  });

  it('sees weights and the negative graph, but neither boxes nor a weight of 1', () => {
    const weighted = { ...GRAPH, weights: [1, 1, 2, 1], relationshipWeights: [1, 0.5, 1] };
    expect(graphDifference(GRAPH, weighted)).toEqual(difference({ changed: [[2, 2]] }, { added: [1], removed: [1] }));
    expect(graphDifference(GRAPH, { ...GRAPH, weights: [1, 1, 1, 1] })).toEqual(NOTHING);
    expect(graphDifference(GRAPH, { ...GRAPH, boxes: [null, null, null, [0, 0, 1, 1]] })).toEqual(NOTHING);
    const negative = { objects: ['car'], relationships: [] };
    expect(graphDifference(GRAPH, { ...GRAPH, negative })).toEqual({ ...NOTHING, negative: true });
    expect(graphDifference({ ...GRAPH, negative }, { ...GRAPH, negative: { ...negative } })).toEqual(NOTHING);
  });

  it('compares negative graphs by what they say', () => {
    const negative: SceneGraph = { objects: ['car', 'road'], relationships: [[0, 'on', 1]], weights: [2, 1] };
    const differs = (other: SceneGraph): boolean =>
      graphDifference({ ...GRAPH, negative }, { ...GRAPH, negative: other }).negative;
    expect(differs(withIds({ ...negative, relationshipWeights: [1] }))).toBe(false);
    expect(differs({ ...negative, ids: ['o1', 'o0'] })).toBe(false);
    expect(differs({ objects: ['road', 'car'], relationships: [[1, 'on', 0]], weights: [1, 2] })).toBe(false);
    expect(differs({ ...negative, weights: [1, 2] })).toBe(true);
    expect(differs({ ...negative, relationships: [] })).toBe(true);
    expect(differs({ ...negative, relationships: [[0, 'by', 1]] })).toBe(true);
    expect(differs({ ...negative, relationshipWeights: [3] })).toBe(true);
  });

  it('takes a graph that was written without ids by its words, whatever ids an edit left before', () => {
    const edited = removeObject(withIds(GRAPH), 0); // ids o1, o2, o3
    const { ids: _, ...written } = edited;
    expect(graphDifference(edited, written)).toEqual(NOTHING);
    const renamed = { ...written, objects: written.objects.with(2, 'zebra') };
    expect(graphDifference(edited, renamed)).toEqual(difference({ changed: [[2, 2]] }));
    const grown = {
      objects: ['cloud', ...written.objects],
      relationships: written.relationships.map(([s, p, o]) => [s + 1, p, o + 1] as const),
    };
    expect(graphDifference(edited, grown)).toEqual(difference({ added: [0] }));
  });
});

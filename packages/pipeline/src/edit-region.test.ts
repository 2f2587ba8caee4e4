import type { SceneGraph } from '@sgdiff/sg-schema';
import { addObject, relate, removeObject, renameObject, renameRelation, withIds } from '@sgdiff/sg-schema';
import { describe, expect, it } from 'vitest';
import { editRegion, touchedObjects, type Looked } from './edit-region';

const GRAPH: SceneGraph = withIds({
  objects: ['grass', 'sheep', 'tree'],
  relationships: [
    [1, 'standing on', 0],
    [1, 'left of', 2],
  ],
});

describe('touchedObjects', () => {
  it('is the object that was renamed, in both graphs', () => {
    expect(touchedObjects(GRAPH, renameObject(GRAPH, 1, 'zebra'))).toEqual({ before: [1], after: [1] });
  });

  it('is the object that came or went, not what it is related to', () => {
    const grown = relate(addObject(GRAPH, 'boat'), 3, 'behind', 2);
    expect(touchedObjects(GRAPH, grown)).toEqual({ before: [], after: [3] });
    expect(touchedObjects(GRAPH, removeObject(GRAPH, 1))).toEqual({ before: [1], after: [] });
  });

  it('is both objects of a relation that changed between objects that stay', () => {
    expect(touchedObjects(GRAPH, renameRelation(GRAPH, 1, 'right of'))).toEqual({ before: [1, 2], after: [1, 2] });
  });

  it('is nothing for the same graph, and all for another negative graph', () => {
    expect(touchedObjects(GRAPH, GRAPH)).toEqual({ before: [], after: [] });
    expect(touchedObjects(GRAPH, { ...GRAPH, negative: { objects: ['boat'], relationships: [] } })).toBe('all');
  });
});

describe('editRegion', () => {
  const SIDE = 8;
  /** A map that is `peak` in one cell, and 0.1 elsewhere. */
  const spot = (row: number, column: number, peak = 0.9) => {
    const map = new Float32Array(SIDE * SIDE).fill(0.1);
    map[row * SIDE + column] = peak;
    return map;
  };
  const looked = (graph: SceneGraph, maps: (Float32Array | null)[]): Looked => ({
    graph,
    maps: { objects: maps, relationships: [] },
  });
  const rows = (region: Float32Array) =>
    Array.from({ length: SIDE }, (_, row) => [...region.slice(row * SIDE, (row + 1) * SIDE)].join(' '));
  const before = looked(GRAPH, [spot(7, 7), spot(1, 1), spot(4, 4)]);
  const renamed = renameObject(GRAPH, 1, 'zebra');

  it('covers where the old and the new picture looked for what is touched, wider by a cell, and fades out over another', () => {
    const after = looked(renamed, [spot(7, 7), spot(1, 6), spot(4, 4)]);
    expect(rows(editRegion(before, after, SIDE, { threshold: 0.5, grow: 1, fade: 1 }))).toEqual([
      '1 1 1 0.5 0.5 1 1 1',
      '1 1 1 0.5 0.5 1 1 1',
      '1 1 1 0.5 0.5 1 1 1',
      '0.5 0.5 0.5 0.5 0.5 0.5 0.5 0.5',
      ...Array<string>(4).fill('0 0 0 0 0 0 0 0'),
    ]);
    const bare = editRegion(before, after, SIDE, { threshold: 0.5, grow: 0, fade: 0 });
    expect([...bare].flatMap((share, cell) => (share > 0 ? [[cell, share]] : []))).toEqual([
      [9, 1],
      [14, 1],
    ]);
  });

  it('takes a place from the threshold on, a share of the way between the least and the greatest value', () => {
    const map = spot(2, 2);
    map[0] = 0.1 + 0.45 * 0.8;
    const after = looked(renamed, [spot(7, 7), map, spot(4, 4)]);
    const cells = (threshold: number) =>
      [...editRegion(looked(GRAPH, [map, map, map]), after, SIDE, { threshold, grow: 0, fade: 0 })].filter(Boolean)
        .length;
    expect(cells(0.44)).toBe(2);
    expect(cells(0.46)).toBe(1);
  });

  it('asks the other maps where one is the same everywhere, as that of an object of weight 0 is', () => {
    const flat = new Float32Array(SIDE * SIDE);
    const after = looked(renamed, [spot(7, 7), flat, spot(4, 4)]);
    const bare = editRegion(before, after, SIDE, { threshold: 0.5, grow: 0, fade: 0 });
    expect([...bare].flatMap((share, cell) => (share > 0 ? [cell] : []))).toEqual([9]);
    const none = editRegion(looked(GRAPH, [spot(7, 7), flat, spot(4, 4)]), after, SIDE);
    expect([...none].every((share) => share === 1)).toBe(true);
  });

  it('is empty for the same graph, and everything where a touched object has no map', () => {
    expect([...editRegion(before, before, SIDE)].every((share) => share === 0)).toBe(true);
    const blind = looked(renamed, [spot(7, 7), null, spot(4, 4)]);
    expect([...editRegion(before, blind, SIDE)].every((share) => share === 1)).toBe(true);
  });
});

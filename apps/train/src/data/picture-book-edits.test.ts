import type { Detection } from '@sgdiff/metrics';
import { createRng } from '@sgdiff/nn';
import { graphDifference, parseSceneGraph, type SceneGraph } from '@sgdiff/sg-schema';
import { pictureBookVocabulary } from '@sgdiff/datasets';
import { describe, expect, it } from 'vitest';
import { EDIT_KINDS, sampleEdit, type EditKind } from './picture-book-edits';

const GRAPH: SceneGraph = {
  objects: ['sky', 'grass', 'sheep', 'tree', 'cloud', 'cloud'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
    [2, 'left of', 3],
  ],
  boxes: [null, null, [0.2, 0.5, 0.4, 0.7], [0.6, 0.3, 0.8, 0.7], null, null],
};
const at = (category: string, x: number): Detection => ({ category, score: 0.9, box: [x, 0.5, x + 0.2, 0.7] });
const GROUND: Detection = { category: 'grass', score: 0.9, box: [0, 0.4, 1, 1] };
const edits = (kind: EditKind) => Array.from({ length: 40 }, (_, i) => sampleEdit(GRAPH, kind, createRng('edits', i), 2 / 64)!);

describe('sampleEdit', () => {
  it.each(EDIT_KINDS)('makes a graph that the vocabulary knows and that differs in one thing: %s', (kind) => {
    const texts = new Set<string>();
    for (const { before, after, text } of edits(kind)) {
      parseSceneGraph(after, { vocabulary: pictureBookVocabulary(), maxTriples: 32 });
      const { objects, relationships } = graphDifference(before, after);
      const counts = [objects.added, objects.removed, objects.changed, relationships.added, relationships.removed].map((list) => list.length);
      expect(counts.slice(0, 3)).toEqual({ replace: [0, 0, 1], relate: [0, 0, 0], add: [1, 0, 0], remove: [0, 1, 0] }[kind]);
      expect(counts.slice(3)).toEqual({ replace: [0, 0], relate: [1, 1], add: [1, 0], remove: [0, expect.any(Number)] }[kind]);
      expect(before.boxes).toBeUndefined();
      texts.add(text);
    }
    expect(texts.size).toBeGreaterThan({ replace: 5, relate: 0, add: 5, remove: 1 }[kind]);
  });

  it('tells a replaced thing by the new word found and the old one gone', () => {
    const edit = edits('replace').find(({ words }) => words[0] === 'sheep')!;
    const other = edit.words[1];
    const tree = at('tree', 0.7);
    expect(edit.shown([at(other, 0.2), GROUND, tree])).toBe(true);
    expect(edit.shown([at(other, 0.2), GROUND, tree, at('sheep', 0.6)])).toBe(false);
    expect(edit.shown([at(other, 0.2), GROUND, at('tree', 0)])).toBe(false); // not left of it
    expect(edit.shown([at(other, 0.2), tree])).toBe(false); // stands on nothing
    expect(edit.shown([])).toBe(false);
    expect(edit.shownBefore([at('sheep', 0.2)])).toBe(true);
    expect(edit.shownBefore([at('sheep', 0.2), at(other, 0.6)])).toBe(false);
  });

  it('tells a relation by the boxes of its things', () => {
    const [edit] = edits('relate');
    expect(edit.text).toBe('sheep left of tree -> right of');
    expect(edit.shown([at('sheep', 0.7), at('tree', 0.1)])).toBe(true);
    expect(edit.shown([at('sheep', 0.1), at('tree', 0.7)])).toBe(false);
    expect(edit.shownBefore([at('sheep', 0.1), at('tree', 0.7)])).toBe(true);
    expect(edit.shown([at('sheep', 0.7)])).toBe(false);
  });

  it('tells an added thing by its relation, and a removed one by its absence', () => {
    const added = edits('add').find(({ text }) => text.endsWith(' on grass'))!;
    const [word] = added.words;
    expect(added.shown([at(word, 0.4), GROUND])).toBe(true);
    expect(added.shown([GROUND])).toBe(false);
    expect(added.shownBefore([at(word, 0.4)])).toBe(false);
    const removed = edits('remove').find(({ words }) => words[0] === 'tree')!;
    expect(removed.shown([at('sheep', 0.4)])).toBe(true);
    expect(removed.shown([at('tree', 0.4)])).toBe(false);
    expect(removed.shownBefore([at('tree', 0.4)])).toBe(true);
  });

  it('counts the objects that it is not about, those that were there and those that still are', () => {
    const added = edits('add').find(({ text }) => text.endsWith(' on grass'))!;
    const [word] = added.words;
    const before = [GROUND, at('sheep', 0.2), at('tree', 0.6)];
    expect(added.others(before, [...before, at(word, 0.4)])).toEqual({ there: 3, kept: 3 });
    expect(added.others(before, [GROUND, at('sheep', 0.2), at(word, 0.6)])).toEqual({ there: 3, kept: 2 });
    const removed = edits('remove').find(({ words }) => words[0] === 'sheep')!; // the tree is at another place in the graph then
    expect(removed.others(before, [GROUND, at('tree', 0.6)])).toEqual({ there: 2, kept: 2 });
    expect(removed.others(before, [GROUND, at('sheep', 0.6)])).toEqual({ there: 2, kept: 1 });
    const replaced = edits('replace').find(({ words }) => words[0] === 'tree')!;
    expect(replaced.others(before, [GROUND, at(replaced.words[1], 0.6)])).toEqual({ there: 2, kept: 1 });
  });

  it('is none where a graph has nothing to make it on', () => {
    const bare: SceneGraph = { objects: ['sky', 'ocean'], relationships: [[0, 'above', 1]] };
    for (const kind of EDIT_KINDS) expect(sampleEdit(bare, kind, createRng(1), 0)).toBeUndefined();
  });
});

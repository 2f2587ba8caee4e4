import { createVocabulary, type SceneGraph } from '@sgdiff/sg-schema';
import { describe, expect, it } from 'vitest';
import { CliError } from '../errors';
import { applyChange } from './edit';

const vocabulary = createVocabulary(
  ['sky', 'grass', 'sheep', 'zebra', 'tree', 'polar bear'],
  ['above', 'standing on', 'behind', 'by'],
);
const graph: SceneGraph = {
  objects: ['sheep', 'grass', 'sheep'],
  relationships: [
    [0, 'standing on', 1],
    [2, 'by', 0],
  ],
  ids: ['a', 'b', 'c'],
};

function change(...changes: string[]): Pick<SceneGraph, 'objects' | 'relationships'> {
  const { objects, relationships } = changes.reduce((changed, text) => applyChange(changed, text, vocabulary), graph);
  return { objects, relationships };
}

describe('applyChange', () => {
  it('renames every object of a word, or the one with that number', () => {
    expect(change('sheep -> zebra').objects).toEqual(['zebra', 'grass', 'zebra']);
    expect(change('sheep 2->zebra').objects).toEqual(['sheep', 'grass', 'zebra']);
    expect(change('  sheep 1  ->  polar bear ').objects).toEqual(['polar bear', 'grass', 'sheep']);
    expect(change('sheep -> zebra').relationships).toEqual(graph.relationships);
  });

  it('removes objects with their relations', () => {
    expect(change('- grass')).toEqual({ objects: ['sheep', 'sheep'], relationships: [[1, 'by', 0]] });
    expect(change('-sheep 2')).toEqual({ objects: ['sheep', 'grass'], relationships: [[0, 'standing on', 1]] });
    expect(change('- sheep')).toEqual({ objects: ['grass'], relationships: [] });
  });

  it('adds a relation between words of the graph', () => {
    expect(change('+ sheep 2 standing on grass')).toEqual({
      objects: graph.objects,
      relationships: [...graph.relationships, [2, 'standing on', 1]],
    });
  });

  it('adds words that are not there yet, also without a relation', () => {
    expect(change('+ tree behind sheep 2; sky above tree')).toEqual({
      objects: [...graph.objects, 'tree', 'sky'],
      relationships: [...graph.relationships, [3, 'behind', 2], [4, 'above', 3]],
    });
    expect(change('+sky').objects).toEqual([...graph.objects, 'sky']);
  });

  it('counts equal words as the graph does: the next number is a new one', () => {
    expect(change('+ sheep 3 behind sheep')).toEqual({
      objects: [...graph.objects, 'sheep'],
      relationships: [...graph.relationships, [3, 'behind', 0]],
    });
  });

  it('keeps the ids of what stays, so that edits can follow one another', () => {
    expect(applyChange(graph, '- grass', vocabulary).ids).toEqual(['a', 'c']);
    expect(applyChange(graph, 'sheep -> zebra', vocabulary).ids).toEqual(['a', 'b', 'c']);
    expect(applyChange(graph, '+ tree', vocabulary).ids!.slice(0, 3)).toEqual(['a', 'b', 'c']);
    expect(change('- sheep 2', 'sheep -> zebra', '+ tree behind zebra')).toEqual({
      objects: ['zebra', 'grass', 'tree'],
      relationships: [
        [0, 'standing on', 1],
        [2, 'behind', 0],
      ],
    });
  });

  it('leaves the graph it was given as it was', () => {
    const before = JSON.stringify(graph);
    change('- grass', '+ tree behind sheep', 'sheep -> zebra');
    expect(JSON.stringify(graph)).toBe(before);
  });

  it.each([
    ['boat -> zebra', 'The graph has no "boat". It has: sheep, grass, sheep.'],
    ['- sheep 3', 'The graph has no "sheep 3". It has: sheep, grass, sheep.'],
    ['- sheep 0', 'The graph has no "sheep 0". It has: sheep, grass, sheep.'],
    [
      'sheep -> zebr',
      'The change "sheep -> zebr": expected one of the 6 known objects, received "zebr"; perhaps "zebra" is meant.',
    ],
    [
      '+ treee behind sheep',
      'The change "+ treee behind sheep": expected one of the 6 known objects, received "treee"; perhaps "tree" is meant.',
    ],
    [
      '+ tree behnd sheep',
      'The change "+ tree behnd sheep": expected one of the 4 known predicates, received "behnd"; perhaps "behind" is meant.',
    ],
    [
      '+ sheep 4 by grass',
      'The change "+ sheep 4 by grass": expected the sheep objects numbered from 1 without gaps, received "sheep 4" but no "sheep 3"; ' +
        'write "sheep 3" instead, or mention it too.',
    ],
    [
      '+ sheep by sheep',
      'The change "+ sheep by sheep": expected a relation between two objects, received one of "sheep" with itself; ' +
        'write "sheep 2" for another sheep.',
    ],
    ['sheep', 'Cannot read the change "sheep". Write "sheep -> zebra", "+ tree behind sheep" or "- boat".'],
    ['+ ', 'Cannot read the change "+ ". Write "sheep -> zebra", "+ tree behind sheep" or "- boat".'],
    ['-', 'Cannot read the change "-". Write "sheep -> zebra", "+ tree behind sheep" or "- boat".'],
    ['', 'Cannot read the change "". Write "sheep -> zebra", "+ tree behind sheep" or "- boat".'],
  ])('refuses %j', (text, message) => {
    expect(() => change(text)).toThrow(new CliError(message));
  });
});

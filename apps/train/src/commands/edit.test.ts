import { createVocabulary, type SceneGraph } from '@sgdiff/sg-schema';
import { describe, expect, it } from 'vitest';
import { CliError } from '../errors';
import { applyChange, applyChanges, CHANGE_FORMS } from './edit';

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

  it('takes a word that ends in a number for that word', () => {
    const words = createVocabulary(['area 51', 'zebra'], ['by']);
    const place = { objects: ['area 51', 'area 51'], relationships: [] };
    expect(applyChange(place, 'area 51 -> zebra', words).objects).toEqual(['zebra', 'zebra']);
    expect(applyChange(place, 'area 51 2 -> zebra', words).objects).toEqual(['area 51', 'zebra']);
  });

  it('removes objects with their relations', () => {
    expect(change('- grass')).toEqual({ objects: ['sheep', 'sheep'], relationships: [[1, 'by', 0]] });
    expect(change('-sheep 2')).toEqual({ objects: ['sheep', 'grass'], relationships: [[0, 'standing on', 1]] });
    expect(change('- sheep')).toEqual({ objects: ['grass'], relationships: [] });
  });

  it('makes a relation another one, in its place', () => {
    const changed = [...graph.relationships];
    expect(change('sheep standing on grass -> behind')).toEqual({
      objects: graph.objects,
      relationships: [[0, 'behind', 1], changed[1]],
    });
    expect(change('sheep 2 by sheep->Behind')).toEqual({
      objects: graph.objects,
      relationships: [changed[0], [2, 'behind', 0]],
    });
    expect(change('sheep 2 by sheep -> sheep 2 behind sheep')).toEqual(change('sheep 2 by sheep -> behind'));
    expect(change('sheep 2 by sheep -> sheep 2 standing on grass')).toEqual({
      objects: graph.objects,
      relationships: [changed[0], [2, 'standing on', 1]],
    });
    expect(change('sheep 2 by sheep -> sheep 2 behind sheep; tree by sheep')).toEqual({
      objects: [...graph.objects, 'tree'],
      relationships: [changed[0], [2, 'behind', 0], [3, 'by', 0]],
    });
    const twice = { ...graph, relationships: [...graph.relationships, graph.relationships[0]] };
    expect(applyChange(twice, 'sheep standing on grass -> by', vocabulary).relationships).toEqual([
      [0, 'by', 1],
      changed[1],
      [0, 'by', 1],
    ]);
  });

  it('removes a relation and keeps its objects', () => {
    expect(change('- sheep standing on grass')).toEqual({
      objects: graph.objects,
      relationships: [graph.relationships[1]],
    });
    expect(applyChange(graph, '- sheep 2 by sheep', vocabulary).ids).toEqual(graph.ids);
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
      'sheep behind grass -> by',
      'The graph has no relation "sheep behind grass". It has: sheep standing on grass; sheep 2 by sheep.',
    ],
    [
      '- tree behind grass',
      'The graph has no relation "tree behind grass". It has: sheep standing on grass; sheep 2 by sheep.',
    ],
    [
      '- sheep standing on grass; sheep 2 by sheep',
      '"sheep standing on grass; sheep 2 by sheep" are several relations. Change one at a time.',
    ],
    [
      'sheep standing on grass -> behnd',
      'The change "sheep standing on grass -> behnd": expected one of the 4 known predicates, received "behnd"; perhaps "behind" is meant.',
    ],
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
    [
      '+ sheep 2 by sheep',
      'The change "+ sheep 2 by sheep": expected a relation that the graph lacks, received "sheep 2 by sheep". It has: sheep standing on grass; sheep 2 by sheep.',
    ],
    [
      '+ tree by grass; tree by grass',
      'The change "+ tree by grass; tree by grass": expected a relation that the graph lacks, received "tree by grass". ' +
        'It has: sheep standing on grass; sheep 2 by sheep; tree by grass.',
    ],
    [
      'sheep standing on grass -> sheep 2 by sheep',
      'The change "sheep standing on grass -> sheep 2 by sheep": expected a relation that the graph lacks, received "sheep 2 by sheep". ' +
        'It has: sheep standing on grass; sheep 2 by sheep.',
    ],
    [
      '+ sheep',
      'The change "+ sheep": expected something that the graph lacks, received what it has: sheep, grass, sheep. ' +
        'For another of a kind write the next number, such as "+ tree 2" for a second tree.',
    ],
    ['sheep', `Cannot read the change "sheep". Write ${CHANGE_FORMS}.`],
    ['+ ', `Cannot read the change "+ ". Write ${CHANGE_FORMS}.`],
    ['-', `Cannot read the change "-". Write ${CHANGE_FORMS}.`],
    ['', `Cannot read the change "". Write ${CHANGE_FORMS}.`],
  ])('refuses %j', (text, message) => {
    expect(() => change(text)).toThrow(new CliError(message));
  });

  it('refuses to make a relation one that is there already', () => {
    const both = applyChange(graph, '+ sheep behind grass', vocabulary);
    for (const to of ['behind', 'sheep behind grass']) {
      const text = `sheep standing on grass -> ${to}`;
      expect(() => applyChange(both, text, vocabulary)).toThrow(
        new CliError(
          `The change "${text}": expected a relation that the graph lacks, received "sheep behind grass". ` +
            'It has: sheep standing on grass; sheep 2 by sheep; sheep behind grass.',
        ),
      );
    }
    expect(applyChange(both, 'sheep behind grass -> behind', vocabulary).relationships).toEqual(both.relationships);
  });
});

describe('applyChanges', () => {
  it('makes one change after the other, also by way of a graph without objects', () => {
    expect(applyChanges(graph, ['- grass', '- sheep', '+ tree', 'tree -> zebra'], vocabulary, 1)).toMatchObject({
      objects: ['zebra'],
      relationships: [],
    });
  });

  it('refuses to leave no object', () => {
    expect(() => applyChanges(graph, ['- sheep', '- grass'], vocabulary, 9)).toThrow(
      new CliError(
        '--change "- sheep" "- grass": expected an object to be left, received a graph without any. Keep one, or add one, such as --change "+ sheep".',
      ),
    );
  });

  it('refuses more triples than the model takes, without names of functions', () => {
    expect(() => applyChanges(graph, ['+ tree'], vocabulary, 5)).toThrow(
      new CliError(
        'The changed graph: relationships: expected at most 5 triples, received 6 (2 relations and 4 objects, each of which takes one __in_image__ triple); ' +
          'remove relations or objects: there is no room for the __in_image__ triple of objects[3] "tree".',
      ),
    );
  });

  it('leaves words of another model to the pipeline, which names that model', () => {
    const foreign = { ...graph, objects: ['sheep', 'lawn', 'sheep'] };
    expect(applyChanges(foreign, ['- sheep 2'], vocabulary, 9).objects).toEqual(['sheep', 'lawn']);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSceneText, createVocabulary, type SceneGraph } from '@sgdiff/sg-schema';
import { describeEdit, namedDifference, objectNames } from './named-difference';
import { SERIES } from './series';

const vocabulary = createVocabulary(
  ['sky', 'grass', 'sheep', 'tree', 'boat', 'kite'],
  ['above', 'by', 'on', 'behind', 'standing on', 'in front of'],
);
const read = (text: string): SceneGraph => parseSceneText(text, { vocabulary });

describe('describeEdit', () => {
  it('tells the series as its edits', () => {
    expect(SERIES.slice(1).map((graph, i) => describeEdit(SERIES[i]!, graph))).toEqual([
      ['zebra → sheep'],
      ['+ sheep 2 by sheep'],
      ['+ tree behind sheep'],
      ['+ ocean by tree'],
      ['+ boat in ocean'],
      ['boat in ocean → on grass'],
    ]);
  });

  it.each([
    ['sheep; tree', 'sheep', ['− tree']],
    ['sheep', 'sheep; kite', ['+ kite']],
    ['sheep by tree', 'sheep; tree', ['− sheep by tree']],
    ['sheep; tree', 'sheep by tree', ['+ sheep by tree']],
    ['sheep by tree', 'tree by sheep', ['sheep by tree → tree by sheep']],
    ['sheep by tree', 'sheep by tree; kite above tree; kite above sheep', ['+ kite above tree', '+ kite above sheep']],
    ['sheep by tree; kite above sheep', 'boat by tree; kite above boat', ['sheep → boat']],
    ['sheep on grass; tree by sheep', 'kite; sky', ['+ kite', '+ sky', '− sheep', '− grass', '− tree']],
  ])('from "%s" to "%s"', (before, after, phrases) => {
    expect(describeEdit(read(before), read(after))).toEqual(phrases);
  });

  it('is silent exactly when nothing changed', () => {
    const graphs = fc.constantFrom(...SERIES);
    fc.assert(
      fc.property(graphs, graphs, (a, b) => {
        expect(describeEdit(a, b).length === 0).toBe(a === b);
      }),
    );
  });
});

describe('namedDifference', () => {
  it('is turned round when the graphs are swapped', () => {
    const [a, b] = [SERIES[0]!, SERIES[6]!];
    const there = namedDifference(a, b);
    const back = namedDifference(b, a);
    expect(back.addedObjects).toEqual(there.removedObjects);
    expect(back.removedRelations).toEqual(there.addedRelations);
  });
});

describe('objectNames', () => {
  it('numbers words from their second object on, as the text form does', () => {
    expect(objectNames({ objects: ['sheep', 'tree', 'sheep', 'sheep'] })).toEqual([
      'sheep',
      'tree',
      'sheep 2',
      'sheep 3',
    ]);
  });
});

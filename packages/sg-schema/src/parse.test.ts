import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Issue } from './issues';
import type { ParseOptions } from './parse';

import { deepFreeze } from '../test/arbitraries';
import { ISSUE_LIMIT, SceneGraphError } from './issues';
import { parseSceneGraph, parseSceneGraphs, safeParseSceneGraph, safeParseSceneGraphs } from './parse';
import { createVocabulary } from './vocabulary';

const vocabulary = createVocabulary(
  ['sky', 'grass', 'sheep', 'tree', 'zebra', 'ocean', 'boat'],
  ['above', 'standing on', 'by', 'behind', 'on'],
);

const figure6 = {
  objects: ['sky', 'grass', 'sheep', 'sheep', 'tree'],
  relationships: [
    [0, 'above', 1],
    [2, 'standing on', 1],
    [3, 'by', 2],
    [4, 'behind', 2],
  ],
};

function issuesOf(input: unknown, options?: ParseOptions): readonly Issue[] {
  const result = safeParseSceneGraph(input, options);
  return result.ok ? [] : result.issues;
}

describe('parseSceneGraph', () => {
  it('reads the form of sg2im, from text or data', () => {
    expect(parseSceneGraph(figure6, { vocabulary })).toEqual(figure6);
    expect(parseSceneGraph(JSON.stringify(figure6), { vocabulary })).toEqual(figure6);
    expect(parseSceneGraph(`\ufeff${JSON.stringify(figure6)}`)).toEqual(figure6);
  });

  it('reads ids, boxes, weights and a negative graph', () => {
    const graph = {
      objects: ['sheep', 'grass'],
      relationships: [[0, 'on', 1]],
      ids: ['a', 'b'],
      boxes: [[0.1, 0.2, 0.5, 1], null],
      weights: [1, 0],
      relationshipWeights: [2.5],
      negative: { objects: ['zebra'], relationships: [] },
    };
    expect(parseSceneGraph(graph, { vocabulary })).toEqual(graph);
  });

  it('neither changes its input nor shares lists with it', () => {
    const input = deepFreeze(structuredClone(figure6));
    const graph = parseSceneGraph(input);
    expect(graph.objects).not.toBe(input.objects);
    expect(graph.relationships[0]).not.toBe(input.relationships[0]);
  });

  it('keeps repeated triples, which real graphs have', () => {
    const twice = { objects: ['sheep', 'tree'], relationships: [[0, 'by', 1], [0, 'by', 1]] }; // prettier-ignore
    expect(parseSceneGraph(twice, { vocabulary })).toEqual(twice);
  });

  it('ignores keys of other programs', () => {
    const { objects, relationships } = figure6;
    const noted = { id: 7, weight: 'heavy', caption: 'figure 6', image: { id: 3 }, objects, relationships };
    expect(parseSceneGraph(noted)).toEqual(figure6);
  });

  it('takes any word without a vocabulary, even names that JavaScript knows', () => {
    const graph = JSON.parse(
      '{"objects": ["__proto__", "constructor"], "relationships": [[0, "toString", 1]]}',
    ) as unknown;
    expect(parseSceneGraph(graph)).toEqual(graph);
    expect(issuesOf(graph, { vocabulary }).map(({ code }) => code)).toEqual([
      'unknown_object',
      'unknown_object',
      'unknown_predicate',
    ]);
  });

  it('does not take keys from the prototype', () => {
    const inherited = Object.create(figure6) as unknown;
    expect(issuesOf(inherited).map(({ code }) => code)).toEqual(['missing_key', 'missing_key']);
  });

  it('allows a relation of an object with itself when asked', () => {
    const graph = { objects: ['sheep'], relationships: [[0, 'by', 0]] };
    expect(parseSceneGraph(graph, { selfRelations: 'allow' })).toEqual(graph);
  });

  it('writes -0 as 0', () => {
    const graph = parseSceneGraph(
      '{"objects": ["a", "b"], "relationships": [[-0, "on", 1]], "boxes": [[-0, 0, 1, 1], null]}',
    );
    expect(Object.is(graph.relationships[0]![0], 0)).toBe(true);
    expect(Object.is(graph.boxes![0]![0], 0)).toBe(true);
  });

  it('says all that is wrong in one error', () => {
    const bad = {
      objects: ['sky', 'gras', 'sheep'],
      relationships: [
        [0, 'above', 1],
        [2, 'standing', 7],
      ],
    };
    expect(() => parseSceneGraph(bad, { vocabulary })).toThrow(
      new SceneGraphError('parseSceneGraph', issuesOf(bad, { vocabulary })),
    );
    expect(() => parseSceneGraph(bad, { vocabulary })).toThrow(
      [
        'parseSceneGraph: 3 problems.',
        '- objects[1]: expected one of the 7 known objects, received "gras"; perhaps "grass" is meant.',
        '- relationships[1][1]: expected one of the 5 known predicates, received "standing"; perhaps "standing on" is meant.',
        '- relationships[1][2]: expected the position of an object, 0 to 2, received 7; ' +
          'correct the position or add the object that it should point to.',
      ].join('\n'),
    );
    expect(() => parseSceneGraph({ objects: ['sheep'] })).toThrow(
      'parseSceneGraph: relationships: expected a list of relations, received nothing; ' +
        'add "relationships": [], or fill it with [subject, predicate, object].',
    );
  });

  it('gives each issue in parts too', () => {
    expect(issuesOf({ objects: ['sheep', 'grass'], relationships: [[0, 'on', 2]] })).toEqual([
      {
        code: 'index_out_of_range',
        path: ['relationships', 0, 2],
        expected: 'the position of an object, 0 to 1',
        received: '2',
        hint: 'correct the position or add the object that it should point to',
        message:
          'relationships[0][2]: expected the position of an object, 0 to 1, received 2; ' +
          'correct the position or add the object that it should point to.',
      },
    ]);
  });
});

const relation = (value: unknown): unknown => ({ objects: ['sheep', 'grass'], relationships: [value] });
const extra = (key: string, value: unknown): unknown => ({
  objects: ['sheep', 'grass'],
  relationships: [],
  [key]: value,
});

describe('the message for bad input', () => {
  it.each<[name: string, input: unknown, code: Issue['code'], message: string, options?: ParseOptions]>([
    [
      'text that is not JSON',
      '{\n  "objects": ["sheep",],\n}',
      'invalid_json',
      'graph: expected a value at line 2, column 23, received "]"; correct the JSON text there.',
    ],
    [
      'words instead of JSON',
      'sheep on grass',
      'invalid_json',
      'graph: expected a value at line 1, column 1, received "s"; use parseSceneText for a graph written in words.',
    ],
    [
      'a number',
      7,
      'wrong_type',
      'graph: expected a graph, {"objects": [...], "relationships": [...]}, received 7; write the graph in the form of sg2im.',
    ],
    [
      'a list of graphs',
      [figure6, figure6],
      'wrong_type',
      'graph: expected one graph, {"objects": [...], "relationships": [...]}, received a list of 2; ' +
        'pass one entry of the list, or use parseSceneGraphs for all of it.',
    ],
    [
      'no list of objects',
      { relationships: [] },
      'missing_key',
      'objects: expected a list of words, received nothing; add "objects": ["sheep", "grass"].',
    ],
    [
      'objects in another form',
      { objects: { a: 'sheep' }, relationships: [] },
      'wrong_type',
      'objects: expected a list of words, received an object; write the objects as ["sheep", "grass"].',
    ],
    [
      'no objects',
      { objects: [], relationships: [] },
      'no_objects',
      'objects: expected at least one object, received an empty list; name something to draw.',
    ],
    [
      'an object by number',
      { objects: [12], relationships: [] },
      'wrong_type',
      'objects[0]: expected a word, received 12; write what the object is, not its number in a vocabulary.',
    ],
    [
      'an empty word',
      { objects: ['sheep', ' '], relationships: [] },
      'empty_word',
      'objects[1]: expected the word of an object, received " "; write what the object is.',
    ],
    [
      'the reserved object',
      { objects: ['sheep', '__image__'], relationships: [] },
      'reserved_word',
      'objects[1]: expected the word of an object, received the reserved "__image__"; ' +
        'leave __image__ and its __in_image__ relations out, they are added when the graph is packed.',
    ],
    [
      'the reserved predicate',
      relation([0, '__in_image__', 1]),
      'reserved_word',
      'relationships[0][1]: expected the word of a predicate, received the reserved "__in_image__"; ' +
        'leave __image__ and its __in_image__ relations out, they are added when the graph is packed.',
    ],
    [
      'a mistyped object',
      { objects: ['sheep', 'shepe'], relationships: [] },
      'unknown_object',
      'objects[1]: expected one of the 7 known objects, received "shepe"; perhaps "sheep" is meant.',
      { vocabulary },
    ],
    [
      'an object near several words',
      { objects: ['bee'], relationships: [] },
      'unknown_object',
      'objects[0]: expected one of the 3 known objects, received "bee"; perhaps "beet", "bed" or "see" is meant.',
      { vocabulary: createVocabulary(['beet', 'bed', 'see'], []) },
    ],
    [
      'an object near no word',
      { objects: ['xylophone'], relationships: [] },
      'unknown_object',
      'objects[0]: expected one of the 7 known objects, received "xylophone"; ' +
        'no known word is near it, use one of: sky, grass, sheep, tree, zebra, ocean, boat.',
      { vocabulary },
    ],
    [
      'an object near none of many words',
      { objects: ['xylophone'], relationships: [] },
      'unknown_object',
      'objects[0]: expected one of the 50 known objects, received "xylophone"; no known word is near it, use one of: ' +
        `${Array.from({ length: 40 }, (_, i) => `w${i}`).join(', ')}, ….`,
      {
        vocabulary: createVocabulary(
          Array.from({ length: 50 }, (_, i) => `w${i}`),
          [],
        ),
      },
    ],
    [
      'a mistyped predicate',
      relation([0, 'standign on', 1]),
      'unknown_predicate',
      'relationships[0][1]: expected one of the 5 known predicates, received "standign on"; perhaps "standing on" is meant.',
      { vocabulary },
    ],
    [
      'no list of relations',
      { objects: ['sheep'], relationships: null },
      'wrong_type',
      'relationships: expected a list of relations, received null; write the relations as [[0, "standing on", 1]].',
    ],
    [
      'a relation with four entries',
      relation([0, 'on', 1, 1]),
      'wrong_shape',
      'relationships[0]: expected a relation [subject, predicate, object], received a list of 4; ' +
        'write it as [0, "standing on", 1], where the numbers are positions in objects.',
    ],
    [
      'a relation as an object',
      relation({ subject: 0, predicate: 'on', object: 1 }),
      'wrong_shape',
      'relationships[0]: expected a relation [subject, predicate, object], received an object; ' +
        'write it as [0, "standing on", 1], where the numbers are positions in objects.',
    ],
    [
      'a position past the last object',
      relation([0, 'on', 2]),
      'index_out_of_range',
      'relationships[0][2]: expected the position of an object, 0 to 1, received 2; ' +
        'correct the position or add the object that it should point to.',
    ],
    [
      'a negative position',
      relation([-1, 'on', 1]),
      'index_out_of_range',
      'relationships[0][0]: expected the position of an object, 0 to 1, received -1; ' +
        'correct the position or add the object that it should point to.',
    ],
    [
      'a position where there is one object',
      { objects: ['sheep'], relationships: [[0, 'on', 1]] },
      'index_out_of_range',
      'relationships[0][2]: expected the position of an object, which is 0, received 1; ' +
        'correct the position or add the object that it should point to.',
    ],
    [
      'a fraction as position',
      relation([0.5, 'on', 1]),
      'wrong_type',
      'relationships[0][0]: expected the position of an object, 0 to 1, received 0.5; ' +
        'write where the object stands in objects, counting from 0.',
    ],
    [
      'a word as position',
      relation([0, 'on', 'grass']),
      'wrong_type',
      'relationships[0][2]: expected the position of an object, 0 to 1, received "grass"; ' +
        'write 1, where "grass" stands in objects.',
    ],
    [
      'the vocabulary number of a predicate',
      relation([0, 2, 1]),
      'wrong_type',
      'relationships[0][1]: expected the word of a predicate, received 2; ' +
        'write "standing on" if its number in the vocabulary is meant.',
      { vocabulary },
    ],
    [
      'no predicate',
      relation([0, null, 1]),
      'wrong_type',
      'relationships[0][1]: expected the word of a predicate, received null; ' +
        'write how the two objects relate, such as "standing on".',
    ],
    [
      'a relation of an object with itself',
      relation([1, 'on', 1]),
      'self_relation',
      'relationships[0]: expected a relation between two objects, received one of "grass" with itself; ' +
        'correct a position, or add a second "grass" to objects.',
    ],
    [
      'too many objects',
      figure6,
      'too_many_objects',
      'objects: expected at most 3 objects, received 5; remove 2.',
      { maxObjects: 3 },
    ],
    [
      'too many triples',
      figure6,
      'too_many_triples',
      'relationships: expected at most 3 triples, received 9 (4 relations and 5 objects, each of which takes one __in_image__ triple); ' +
        'remove relations or objects: there is no room for relationships[3] "tree behind sheep", ' +
        'the __in_image__ triple of objects[0] "sky", the __in_image__ triple of objects[1] "grass", ' +
        'the __in_image__ triple of objects[2] "sheep", the __in_image__ triple of objects[3] "sheep", ' +
        'the __in_image__ triple of objects[4] "tree".',
      { maxTriples: 3 },
    ],
    [
      'far too many triples',
      { objects: ['sheep', 'tree'], relationships: Array.from({ length: 30 }, () => [0, 'by', 1]) },
      'too_many_triples',
      'relationships: expected at most 10 triples, received 32 (30 relations and 2 objects, each of which takes one __in_image__ triple); ' +
        'remove relations or objects: there is no room for ' +
        `${Array.from({ length: 20 }, (_, i) => `relationships[${i + 10}] "sheep by tree"`).join(', ')} and 2 more.`,
      { maxTriples: 10 },
    ],
    [
      'a misspelt key',
      { objects: ['sheep'], relationship: [] },
      'unknown_key',
      'graph: expected the key "relationships", received "relationship"; rename the key to "relationships".',
    ],
    [
      'the key of another format',
      { objects: ['sheep'], relations: [] },
      'unknown_key',
      'graph: expected the key "relationships", received "relations"; rename the key to "relationships".',
    ],
    [
      'ids in another form',
      extra('ids', 'a b'),
      'wrong_type',
      'ids: expected a list with one entry per object, received "a b"; write one entry per object, or leave "ids" out.',
    ],
    [
      'too few ids',
      extra('ids', ['a']),
      'wrong_length',
      'ids: expected 2 entries, one per object, received 1; write one entry per object, or leave "ids" out.',
    ],
    [
      'an id that is a number',
      extra('ids', ['a', 2]),
      'wrong_type',
      'ids[1]: expected a name that is not empty, received 2; write the id as text, such as "sheep-2".',
    ],
    [
      'an id that two objects have',
      extra('ids', ['a', 'a']),
      'duplicate_id',
      'ids[1]: expected an id that no other object has, received "a", which is also at 0; give each object an id of its own.',
    ],
    [
      'a box with two corners missing',
      extra('boxes', [null, [0, 1]]),
      'wrong_shape',
      'boxes[1]: expected a box [x0, y0, x1, y1] or null, received a list of 2; ' +
        'write the left, top, right and bottom edge, or null where the place does not matter.',
    ],
    [
      'a box in pixels',
      extra('boxes', [null, [0, 0, 64, 1]]),
      'wrong_box',
      'boxes[1][2]: expected an edge from 0 to 1, received 64; divide pixels by the width or height of the picture.',
    ],
    [
      'a box with width and height',
      extra('boxes', [null, [0.5, 0.5, 0.25, 0.25]]),
      'wrong_box',
      'boxes[1]: expected x0 < x1 and y0 < y1, received [0.5, 0.5, 0.25, 0.25]; ' +
        'write [x0, y0, x1, y1] with the left top corner first, not a corner with width and height.',
    ],
    [
      'a weight below 0',
      extra('weights', [1, -1]),
      'wrong_weight',
      'weights[1]: expected a finite number of at least 0, received -1; write 1 for the usual weight.',
    ],
    [
      'a weight that is not a number',
      extra('weights', [NaN, 1]),
      'wrong_weight',
      'weights[0]: expected a finite number of at least 0, received NaN; write 1 for the usual weight.',
    ],
    [
      'weights of relations that do not fit them',
      extra('relationshipWeights', [1]),
      'wrong_length',
      'relationshipWeights: expected 0 entries, one per relation, received 1; ' +
        'write one entry per relation, or leave "relationshipWeights" out.',
    ],
    [
      'a weight of a relation below 0',
      { objects: ['sheep', 'grass'], relationships: [[0, 'on', 1]], relationshipWeights: [-0.1] },
      'wrong_weight',
      'relationshipWeights[0]: expected a finite number of at least 0, received -0.1; write 1 for the usual weight.',
    ],
    [
      'a fault in the negative graph',
      extra('negative', { objects: ['sheep'], relationships: [[0, 'on', 1]] }),
      'index_out_of_range',
      'negative.relationships[0][2]: expected the position of an object, which is 0, received 1; ' +
        'correct the position or add the object that it should point to.',
    ],
    [
      'a negative graph in a negative graph',
      extra('negative', { objects: ['sheep'], relationships: [], negative: {} }),
      'nested_negative',
      'negative.negative: expected no negative graph in a negative graph, received an object; ' +
        'move its content into the graph itself.',
    ],
    [
      'an object that cannot be read',
      { get objects(): never { throw new Error('no'); } }, // prettier-ignore
      'unreadable',
      'graph: expected plain data, received an object that cannot be read ("no"); pass JSON text or the result of JSON.parse.',
    ],
  ])('is exact for %s', (_name, input, code, message, options) => {
    const issues = issuesOf(input, options);
    expect(issues.map((issue) => issue.message)).toEqual([message]);
    expect(issues[0]!.code).toBe(code);
    expect(() => parseSceneGraph(input, options)).toThrow(new SceneGraphError('parseSceneGraph', issues));
  });
});

describe('parseSceneGraphs', () => {
  it('reads a list, or one graph', () => {
    expect(parseSceneGraphs(JSON.stringify([figure6, figure6]))).toEqual([figure6, figure6]);
    expect(parseSceneGraphs(figure6)).toEqual([figure6]);
    expect(parseSceneGraphs('[]')).toEqual([]);
  });

  it('starts paths with the place in the list', () => {
    const input = [figure6, { objects: ['sheep'], relationships: [[0, 'on', 3]] }, 'sheep'];
    const result = safeParseSceneGraphs(input);
    expect(result.ok || result.issues.map(({ path }) => path)).toEqual([[1, 'relationships', 0, 2], [2]]);
    expect(() => parseSceneGraphs(input)).toThrow(
      [
        'parseSceneGraphs: 2 problems.',
        '- [1].relationships[0][2]: expected the position of an object, which is 0, received 3; ' +
          'correct the position or add the object that it should point to.',
        '- [2]: expected a graph, {"objects": [...], "relationships": [...]}, received "sheep"; ' +
          'write the graph in the form of sg2im.',
      ].join('\n'),
    );
  });

  it('leaves the place out where there is no list', () => {
    const result = safeParseSceneGraphs({ objects: [], relationships: [] });
    expect(result.ok || result.issues[0]!.path).toEqual(['objects']);
  });
});

describe('hostile input', () => {
  it('never makes the safe functions throw, and never passes unchecked', () => {
    const key = fc.constantFrom(
      'objects',
      'relationships',
      'ids',
      'boxes',
      'weights',
      'relationshipWeights',
      'negative',
      'x',
    );
    const nearly = fc.dictionary(key, fc.oneof(fc.anything(), fc.array(fc.oneof(fc.anything(), fc.constant('sheep')))));
    fc.assert(
      fc.property(fc.oneof(fc.anything({ withSparseArray: true, withBigInt: true }), nearly, fc.string()), (input) => {
        for (const options of [{}, { vocabulary, maxTriples: 3, maxObjects: 2 }]) {
          const result = safeParseSceneGraph(input, options);
          safeParseSceneGraphs([input], options);
          if (!result.ok) expect(result.issues.length).toBeGreaterThan(0);
          else expect(parseSceneGraph(JSON.stringify(result.graph), options)).toEqual(result.graph);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('stops counting mistakes at a limit and says so', () => {
    const issues = issuesOf({ objects: new Array<string>(5000), relationships: new Array<unknown>(50_000) });
    expect(issues.length).toBe(ISSUE_LIMIT + 1);
    expect(issues.at(-1)!.message).toBe(
      'graph: expected at most 100 problems, received more; mend the ones listed and parse again to see the rest.',
    );
  });

  // Five seconds is far above what these take even on a busy machine; a quadratic algorithm would need minutes.
  it.each<[name: string, input: () => unknown]>([
    ['deep nesting', () => '['.repeat(300_000)],
    ['deep nesting of graphs', () => '{"negative":'.repeat(100_000) + '1' + '}'.repeat(100_000)],
    ['a list longer than memory', () => ({ objects: new Array(4_000_000_000), relationships: [] })],
    ['relations longer than memory', () => ({ objects: ['a'], relationships: new Array(4_000_000_000) })],
    ['a long word', () => ({ objects: ['a'.repeat(5_000_000)], relationships: [] })],
    ['a long string that does not end', () => `"${'\\n'.repeat(1_000_000)}`],
    ['many lines', () => '\n'.repeat(1_000_000)],
  ])('is refused fast: %s', (_name, makeInput) => {
    const input = makeInput();
    const start = performance.now();
    const result = safeParseSceneGraphs(input, { vocabulary });
    expect(result.ok).toBe(false);
    expect(result.ok || result.issues.every(({ message }) => message.length < 1000)).toBe(true);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

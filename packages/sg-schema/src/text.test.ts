import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { IssueCode } from './issues';
import type { ParseTextOptions } from './text';
import type { SceneGraph } from './types';

import { ambiguousWord, anyWord, graphAndVocabulary, vocabularyOf } from '../test/arbitraries';
import { SceneGraphError } from './issues';
import { parseSceneText, safeParseSceneText, sceneText } from './text';
import { createVocabulary } from './vocabulary';

const vocabulary = createVocabulary(
  ['sky', 'grass', 'sheep', 'tree', 'bear', 'polar bear', 'table', 'table top', 'route 66', '5" disc'],
  ['above', 'on', 'standing on', 'on top of', 'by', 'behind'],
);
const parse = (text: string): SceneGraph => parseSceneText(text, { vocabulary });

describe('parseSceneText', () => {
  it('reads clauses of subject, predicate and object', () => {
    expect(parse('sheep standing on grass; tree behind sheep')).toEqual({
      objects: ['sheep', 'grass', 'tree'],
      relationships: [
        [0, 'standing on', 1],
        [2, 'behind', 0],
      ],
    });
  });

  it.each([
    ['commas', 'sheep standing on grass, tree behind sheep, sky above grass'],
    ['lines', 'sheep standing on grass\ntree behind sheep\r\nsky above grass\n'],
    ['empty clauses', ';; sheep standing on grass ; ,tree behind sheep;sky above grass;'],
    ['capitals and blanks', '  Sheep STANDING  on\tgrass; Tree behind sheep; SKY above Grass'],
    ['the number 1', 'sheep 1 standing on grass 1; tree behind sheep; sky above grass'],
    ['quotes', '"sheep" "standing on" "grass"; "tree" behind sheep 1; sky above "grass" 1'],
  ])('reads the same graph with %s', (_name, text) => {
    expect(parse(text)).toEqual({
      objects: ['sheep', 'grass', 'tree', 'sky'],
      relationships: [
        [0, 'standing on', 1],
        [2, 'behind', 0],
        [3, 'above', 1],
      ],
    });
  });

  it('takes an object alone', () => {
    expect(parse('sky; sheep; sky')).toEqual({ objects: ['sky', 'sheep'], relationships: [] });
  });

  it('tells objects with the same word apart by number', () => {
    expect(parse('sheep 2 by sheep; sheep 3 by sheep 2')).toEqual({
      objects: ['sheep', 'sheep', 'sheep'],
      relationships: [
        [0, 'by', 1],
        [2, 'by', 0],
      ],
    });
  });

  it('takes the longest words, and shorter ones where that is the only way', () => {
    expect(parse('polar bear on top of table')).toEqual({
      objects: ['polar bear', 'table'],
      relationships: [[0, 'on top of', 1]],
    });
    expect(parse('bear on table top').objects).toEqual(['bear', 'table top']);
    const tricky = createVocabulary(['on top', 'cup', 'top'], ['on', 'on top']);
    expect(parseSceneText('cup on top', { vocabulary: tricky })).toEqual({
      objects: ['cup', 'top'],
      relationships: [[0, 'on', 1]],
    });
  });

  it('takes a number that belongs to a word as part of it', () => {
    expect(parse('route 66; route 66 2')).toEqual({ objects: ['route 66', 'route 66'], relationships: [] });
  });

  it('takes text in quotes whole, as one exact word', () => {
    expect(parse('"5\\" disc" on table').objects).toEqual(['5" disc', 'table']);
    const separators = createVocabulary(['a;b', 'c, d'], ['\n-']);
    expect(parseSceneText('"a;b" "\n-" "c, d"', { vocabulary: separators })).toEqual({
      objects: ['a;b', 'c, d'],
      relationships: [[0, '\n-', 1]],
    });
    expect(safeParseSceneText('"Sheep"', { vocabulary }).ok).toBe(false);
  });

  it('prefers the exact word where two differ only in case', () => {
    const cases = createVocabulary(['Turkey', 'turkey'], ['by']);
    expect(parseSceneText('turkey by Turkey', { vocabulary: cases }).objects).toEqual(['turkey', 'Turkey']);
    expect(parseSceneText('TURKEY', { vocabulary: cases }).objects).toEqual(['Turkey']);
  });

  it('allows a relation of an object with itself when asked', () => {
    const graph = parseSceneText('sheep by sheep', { vocabulary, selfRelations: 'allow' });
    expect(graph).toEqual({ objects: ['sheep'], relationships: [[0, 'by', 0]] });
  });

  it('never throws anything but its own error, nor returns a graph with unknown words', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'sheep',
        'on',
        'top',
        'of',
        'table',
        '2',
        '"',
        '\\',
        ';',
        '\n',
        ' ',
        '0',
        '999999',
        '__image__',
        'NONE',
      ),
      fc.string({ unit: 'binary', maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom('', ' '), (pieces, glue) => {
        const result = safeParseSceneText(pieces.join(glue), { vocabulary, maxObjects: 3, maxTriples: 4 });
        if (!result.ok) expect(result.issues.length).toBeGreaterThan(0);
        else for (const word of result.graph.objects) expect(vocabulary.objectIndex(word)).toBeGreaterThan(0);
      }),
      { numRuns: 1000 },
    );
  });

  // Five seconds is far above what these take even on a busy machine; a quadratic algorithm would need minutes.
  it.each([
    ['a long word', 'a'.repeat(1_000_000)],
    ['a long quotation', `"${'a'.repeat(1_000_000)}"`],
    ['a quotation without end', `"${'\\'.repeat(1_000_000)}`],
    ['many quotations', '"'.repeat(50_001)],
    ['many words', 'sheep '.repeat(50_000)],
    ['many predicates', 'on '.repeat(50_000)],
    ['many unknown words', 'x '.repeat(50_000)],
    ['many wrong clauses', 'shepe on;'.repeat(50_000)],
  ])('refuses fast: %s', (_name, text) => {
    const start = performance.now();
    const result = safeParseSceneText(text, { vocabulary });
    expect(result.ok).toBe(false);
    expect(result.ok || result.issues.every(({ message }) => message.length < 500)).toBe(true);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

const clauseForm = '"subject predicate object" or one object';
const predicates = 'above, on, standing on, on top of, by, behind';
const objects = 'sky, grass, sheep, tree, bear, polar bear, table, table top, route 66, 5" disc';

describe('the message for bad text', () => {
  it.each<[text: string, code: IssueCode, message: string, options?: Omit<ParseTextOptions, 'vocabulary'>]>([
    [
      ' ;\n',
      'no_objects',
      'graph: expected at least one object, received a text without words; name something to draw.',
    ],
    [
      'sky; shepe standing on grass',
      'unknown_object',
      'clauses[1]: expected one of the 10 known objects, received "shepe"; perhaps "sheep" is meant.',
    ],
    [
      'brown bear 2 by tree',
      'unknown_object',
      `clauses[0]: expected one of the 10 known objects, received "brown bear"; no known word is near it, use one of: ${objects}.`,
    ],
    [
      'unicorn flies away',
      'unknown_object',
      `clauses[0]: expected one of the 10 known objects, received "unicorn"; no known word is near it, use one of: ${objects}.`,
    ],
    [
      'sheep on polar baer 2',
      'unknown_object',
      'clauses[0]: expected one of the 10 known objects, received "polar baer"; perhaps "polar bear" is meant.',
    ],
    [
      '__image__',
      'reserved_word',
      'clauses[0]: expected the word of an object, received the reserved "__image__"; ' +
        'leave __image__ and its __in_image__ relations out, they are added when the graph is packed.',
    ],
    [
      'sheep standin on grass',
      'unknown_predicate',
      'clauses[0]: expected one of the 6 known predicates, received "standin on"; perhaps "standing on" is meant.',
    ],
    [
      'sheep eats flowers',
      'unknown_predicate',
      `clauses[0]: expected one of the 6 known predicates, received "eats"; no known word is near it, use one of: ${predicates}.`,
    ],
    [
      'sheep on',
      'wrong_clause',
      `clauses[0]: expected ${clauseForm}, received "sheep on"; write an object after "on".`,
    ],
    [
      'on grass',
      'wrong_clause',
      `clauses[0]: expected ${clauseForm}, received "on grass"; write an object before "on grass".`,
    ],
    [
      'sheep grass',
      'wrong_clause',
      `clauses[0]: expected ${clauseForm}, received "sheep grass"; write a predicate and an object after "sheep".`,
    ],
    [
      'sheep on grass by tree',
      'wrong_clause',
      `clauses[0]: expected ${clauseForm}, received "sheep on grass by tree"; end the clause with ";" before "by tree".`,
    ],
    [
      'sheep by sheep',
      'self_relation',
      'clauses[0]: expected a relation between two objects, received one of "sheep" with itself; write "sheep 2" for another sheep.',
    ],
    [
      'sheep; sheep 3 by tree',
      'numbering',
      'clauses[1]: expected the sheep objects numbered from 1 without gaps, received "sheep 3" but no "sheep 2"; ' +
        'write "sheep 2" instead, or mention it too.',
    ],
    [
      'tree 2',
      'numbering',
      'clauses[0]: expected the tree objects numbered from 1 without gaps, received "tree 2" but no "tree"; ' +
        'write "tree" instead, or mention it too.',
    ],
    [
      'tree 0',
      'numbering',
      'clauses[0]: expected the tree objects numbered from 1 without gaps, received "tree 0" but no "tree"; ' +
        'write "tree" instead, or mention it too.',
    ],
    [
      'tree; "sheep',
      'unterminated_quote',
      'clauses[1]: expected a closing " before the end of the text, received "\\"sheep"; ' +
        'close the quotation, and write \\" for a quotation mark inside it.',
    ],
    [
      'sky; grass; tree',
      'too_many_objects',
      'objects: expected at most 2 objects, received 3; remove 1.',
      { maxObjects: 2 },
    ],
    [
      'sheep on grass; tree by sheep',
      'too_many_triples',
      'relationships: expected at most 4 triples, received 5 (2 relations and 3 objects, each of which takes one __in_image__ triple); ' +
        'remove relations or objects: there is no room for the __in_image__ triple of objects[2] "tree".',
      { maxTriples: 4 },
    ],
  ])('is exact for %j', (text, code, message, options) => {
    const result = safeParseSceneText(text, { vocabulary, ...options });
    const issues = result.ok ? [] : result.issues;
    expect(issues.map((issue) => issue.message)).toEqual([message]);
    expect(issues[0]!.code).toBe(code);
    expect(() => parseSceneText(text, { vocabulary, ...options })).toThrow(
      new SceneGraphError('parseSceneText', issues),
    );
  });

  it('names every wrong clause', () => {
    const result = safeParseSceneText('shepe; sheep on; grass', { vocabulary });
    expect(result.ok || result.issues.map(({ path }) => path)).toEqual([
      ['clauses', 0],
      ['clauses', 1],
    ]);
  });
});

describe('sceneText', () => {
  it('writes what people would', () => {
    const graph = parse('sheep standing on grass; tree behind sheep; sheep 2 by sheep; sky');
    expect(sceneText(graph)).toBe('sheep standing on grass; tree behind sheep; sheep 2 by sheep; sky');
  });

  it('names objects first where the relations would change their order', () => {
    const graph: SceneGraph = {
      objects: ['sky', 'grass', 'sheep', 'sheep'],
      relationships: [
        [3, 'by', 2],
        [0, 'above', 1],
      ],
    };
    expect(sceneText(graph)).toBe('sky; grass; sheep; sheep 2; sheep 2 by sheep; sky above grass');
    expect(parse(sceneText(graph))).toEqual(graph);
  });

  it('puts words in quotes that would be read differently', () => {
    const graph: SceneGraph = { objects: ['a', 'd'], relationships: [[0, 'b c', 1]] };
    const ambiguous = createVocabulary(['a', 'a b', 'd'], ['c', 'b c']);
    expect(sceneText(graph)).toBe('a b c d');
    expect(sceneText(graph, { vocabulary: ambiguous })).toBe('"a" "b c" "d"');
    expect(sceneText({ objects: ['5" disc', 'a;b', 'gate 7'], relationships: [] })).toBe(
      '"5\\" disc"; "a;b"; "gate 7"',
    );
  });

  it.each([
    ['words of any characters', anyWord],
    ['words that are parts of each other', ambiguousWord],
  ])('is undone by parseSceneText with the same vocabulary: %s', (_name, word) => {
    fc.assert(
      fc.property(graphAndVocabulary(word), ({ graph, vocabulary }) => {
        expect(parseSceneText(sceneText(graph, { vocabulary }), { vocabulary })).toEqual(graph);
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same text again after parsing', () => {
    fc.assert(
      fc.property(graphAndVocabulary(ambiguousWord), ({ graph, vocabulary }) => {
        const text = sceneText(graph, { vocabulary });
        expect(sceneText(parseSceneText(text, { vocabulary }), { vocabulary })).toBe(text);
      }),
    );
  });

  it('leaves plain words plain when given a vocabulary', () => {
    fc.assert(
      fc.property(vocabularyOf(fc.constantFrom('cat', 'dog', 'bird', 'owl')), (small) => {
        const words = small.objects.slice(1);
        expect(sceneText({ objects: words, relationships: [] }, { vocabulary: small })).toBe(words.join('; '));
      }),
    );
  });
});

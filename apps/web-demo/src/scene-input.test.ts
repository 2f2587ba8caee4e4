import { describe, expect, it } from 'vitest';
import { createVocabulary } from '@sgdiff/sg-schema';
import { readScene, usableWords } from './scene-input';

const limits = {
  vocabulary: createVocabulary(['sheep', 'ship', 'grass', 'tree'], ['standing on', 'behind', 'by']),
  maxTriples: 5,
};

describe('readScene', () => {
  it('reads words', () => {
    expect(readScene('sheep standing on grass; tree behind sheep', limits)).toEqual({
      ok: true,
      graph: {
        objects: ['sheep', 'grass', 'tree'],
        relationships: [
          [0, 'standing on', 1],
          [2, 'behind', 0],
        ],
      },
    });
  });

  it("reads sg2im's JSON", () => {
    const reading = readScene(' {"objects": ["sheep", "grass"], "relationships": [[0, "by", 1]]}', limits);
    expect(reading).toMatchObject({ ok: true, graph: { objects: ['sheep', 'grass'] } });
  });

  it('passes the message on and offers the text with the nearest words put in', () => {
    expect(readScene('tree by grass; shep standing on grass', limits)).toEqual({
      ok: false,
      problems: [
        {
          message:
            'clauses[1]: expected one of the 4 known objects, received "shep"; perhaps "sheep" or "ship" is meant.',
          fixes: [
            { word: 'sheep', text: 'tree by grass; sheep standing on grass' },
            { word: 'ship', text: 'tree by grass; ship standing on grass' },
          ],
        },
      ],
    });
  });

  it('offers predicates of several words, however they are spaced', () => {
    const reading = readScene('sheep standin  on grass', limits);
    expect(reading).toMatchObject({
      ok: false,
      problems: [{ fixes: [{ word: 'standing on', text: 'sheep standing on grass' }] }],
    });
  });

  it('puts words right in JSON too', () => {
    const reading = readScene('{"objects": ["tre", "grass"], "relationships": []}', limits);
    expect(reading).toMatchObject({
      ok: false,
      problems: [{ fixes: [{ word: 'tree', text: '{"objects": ["tree", "grass"], "relationships": []}' }] }],
    });
  });

  it('replaces whole words alone', () => {
    const reading = readScene('tree by grass; tre by grass', limits);
    expect(reading).toMatchObject({ ok: false, problems: [{ fixes: [{ text: 'tree by grass; tree by grass' }] }] });
  });

  it('names what the model has no room for', () => {
    const reading = readScene('sheep; ship; grass; tree; tree 2 by sheep', limits);
    expect(reading).toMatchObject({
      ok: false,
      problems: [{ message: expect.stringContaining('at most 5 triples'), fixes: [] }],
    });
  });

  it('asks for something to draw where there is nothing', () => {
    expect(readScene('  ', limits)).toMatchObject({
      ok: false,
      problems: [{ message: expect.stringContaining('name something to draw') }],
    });
  });
});

describe('usableWords', () => {
  it('leaves out the words that packing adds', () => {
    expect(usableWords(limits.vocabulary)).toEqual({
      objects: ['sheep', 'ship', 'grass', 'tree'],
      predicates: ['standing on', 'behind', 'by'],
    });
  });
});

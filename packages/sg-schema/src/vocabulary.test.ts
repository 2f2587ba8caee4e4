import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { anyWord, vocabularyOf } from '../test/arbitraries';
import type { VocabularyErrorCode } from './vocabulary';

import { createVocabulary, parseVocabulary, VocabularyError, vocabularyToJson } from './vocabulary';

const small = {
  object_name_to_idx: { __image__: 0, sheep: 1, grass: 2 },
  object_idx_to_name: ['__image__', 'sheep', 'grass'],
  pred_name_to_idx: { __in_image__: 0, on: 1 },
  pred_idx_to_name: ['__in_image__', 'on'],
};

describe('createVocabulary', () => {
  it('puts the reserved words first where they are not there', () => {
    const vocabulary = createVocabulary(['sheep', 'grass'], ['on']);
    expect(vocabulary.objects).toEqual(['__image__', 'sheep', 'grass']);
    expect(vocabulary.predicates).toEqual(['__in_image__', 'on']);
    expect(createVocabulary(vocabulary.objects, vocabulary.predicates).objects).toEqual(vocabulary.objects);
  });

  it('finds each word at its index and no other', () => {
    fc.assert(
      fc.property(vocabularyOf(anyWord), (vocabulary) => {
        vocabulary.objects.forEach((word, index) => expect(vocabulary.objectIndex(word)).toBe(index));
        vocabulary.predicates.forEach((word, index) => expect(vocabulary.predicateIndex(word)).toBe(index));
      }),
    );
    const vocabulary = createVocabulary(['sheep'], ['on']);
    expect(vocabulary.objectIndex('constructor')).toBeUndefined();
    expect(vocabulary.objectIndex('on')).toBeUndefined();
    expect(vocabulary.predicateIndex('sheep')).toBeUndefined();
  });

  it('never finds the filler of an index without a word', () => {
    const vocabulary = createVocabulary(['person', 'NONE', 'sheep', 'NONE'], ['on']);
    expect(vocabulary.objectIndex('sheep')).toBe(3);
    expect(vocabulary.objectIndex('NONE')).toBeUndefined();
  });

  it('cannot be changed, nor through the lists it was made from', () => {
    const words = ['sheep'];
    const vocabulary = createVocabulary(words, ['on']);
    words.push('grass');
    expect(vocabulary.objects).toEqual(['__image__', 'sheep']);
    expect(() => (vocabulary.objects as string[]).push('grass')).toThrow(TypeError);
  });

  it.each([
    [
      ['sheep', 'grass', 'sheep'],
      ['on'],
      'createVocabulary: objects[3]: expected each word once, received "sheep", which is also at 1. Remove one of the two.',
      'duplicate_word',
    ],
    [
      ['sheep'],
      ['on', '__in_image__'],
      'createVocabulary: predicates[0]: expected "__in_image__", received "on". ' +
        'Move "__in_image__" from 1 to 0: models use index 0 for it.',
      'misplaced_reserved_word',
    ],
    [
      ['sheep', ' '],
      ['on'],
      'createVocabulary: objects[2]: expected a word, received " ". Use "NONE" for an index without a word.',
      'wrong_type',
    ],
  ])('refuses %j with %j', (objects, predicates, message, code: string) => {
    expect(() => createVocabulary(objects, predicates)).toThrow(
      new VocabularyError(message, code as VocabularyErrorCode),
    );
  });
});

describe('parseVocabulary and vocabularyToJson', () => {
  it('read and write the form of sg2im', () => {
    expect(vocabularyToJson(parseVocabulary(small))).toEqual(small);
    expect(vocabularyToJson(parseVocabulary(JSON.stringify(small)))).toEqual(small);
  });

  it('are inverse for any words', () => {
    fc.assert(
      fc.property(vocabularyOf(anyWord), (vocabulary) => {
        const again = parseVocabulary(JSON.stringify(vocabularyToJson(vocabulary)));
        expect(again.objects).toEqual(vocabulary.objects);
        expect(again.predicates).toEqual(vocabulary.predicates);
      }),
    );
  });

  it('leave the filler words of COCO out of the maps, as sg2im does', () => {
    const vocabulary = createVocabulary(['person', 'NONE', 'NONE'], ['left of']);
    expect(vocabularyToJson(vocabulary).object_name_to_idx).toEqual({ __image__: 0, person: 1 });
    expect(parseVocabulary(vocabularyToJson(vocabulary)).objects).toEqual(vocabulary.objects);
  });

  it('need only the lists', () => {
    const { object_idx_to_name, pred_idx_to_name } = small;
    expect(parseVocabulary({ object_idx_to_name, pred_idx_to_name }).objectIndex('grass')).toBe(2);
  });

  it.each([
    [
      [],
      'parseVocabulary: expected an object with the keys object_idx_to_name and pred_idx_to_name, received a list. ' +
        "Pass the content of sg2im's vocab.json.",
      'wrong_type',
    ],
    [
      { object_idx_to_name: ['__image__'] },
      "parseVocabulary: expected the key pred_idx_to_name, received an object without it. Pass the content of sg2im's vocab.json.",
      'missing',
    ],
    [
      { ...small, object_idx_to_name: 'sheep' },
      'parseVocabulary: object_idx_to_name: expected a list of words, received string. Write the words in order of index.',
      'wrong_type',
    ],
    [
      { ...small, object_idx_to_name: ['__image__', 7] },
      'parseVocabulary: object_idx_to_name[1]: expected a word, received 7. Use "NONE" for an index without a word.',
      'wrong_type',
    ],
    [
      { ...small, object_name_to_idx: { __image__: 0, sheep: 2, grass: 1 } },
      'parseVocabulary: object_name_to_idx["sheep"]: expected the word\'s place in the list, which is 1, received 2. ' +
        'The file contradicts itself: write it anew.',
      'index_mismatch',
    ],
    [
      { ...small, object_name_to_idx: ['sheep'] },
      'parseVocabulary: object_name_to_idx: expected a map from word to index, received a list. Write it anew from the list.',
      'wrong_type',
    ],
    [
      { object_idx_to_name: ['sheep'], pred_idx_to_name: ['__in_image__'] },
      'parseVocabulary: object_idx_to_name[0]: expected "__image__", received "sheep". ' +
        'Put "__image__" first: models use index 0 for it.',
      'misplaced_reserved_word',
    ],
  ])('refuse %j', (json, message, code: string) => {
    expect(() => parseVocabulary(json)).toThrow(new VocabularyError(message, code as VocabularyErrorCode));
  });

  it('refuse text that is not JSON, with the cause', () => {
    const attempt = (): unknown => parseVocabulary('{');
    expect(attempt).toThrow(VocabularyError);
    expect(attempt).toThrow(
      /^parseVocabulary: expected JSON, received text that is not \(.*\)\. Pass the content of sg2im/,
    );
  });
});

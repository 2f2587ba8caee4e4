import { describe, expect, it } from 'vitest';
import { PART_WORDS, pictureBookVocabulary, PREDICATE_WORDS, THING_WORDS } from './vocabulary';

describe('pictureBookVocabulary', () => {
  const vocabulary = pictureBookVocabulary();

  it('has 35 object words and 13 predicates after the special ones', () => {
    expect(vocabulary.objects).toEqual(['__image__', ...PART_WORDS, ...THING_WORDS]);
    expect(vocabulary.objects).toHaveLength(36);
    expect(vocabulary.predicates).toEqual(['__in_image__', ...PREDICATE_WORDS]);
    expect(vocabulary.predicates).toHaveLength(14);
  });

  it("knows every word of sg2im's Figure 6 graphs", () => {
    for (const word of ['sky', 'grass', 'zebra', 'sheep', 'tree', 'ocean', 'boat']) {
      expect(vocabulary.objectIndex(word)).toBeGreaterThan(0);
    }
    for (const word of ['above', 'standing on', 'by', 'behind', 'in', 'on']) {
      expect(vocabulary.predicateIndex(word)).toBeGreaterThan(0);
    }
  });
});

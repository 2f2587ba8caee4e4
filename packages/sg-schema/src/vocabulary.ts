import type { Vocabulary } from './types';

/** Name of the special node that stands for the whole picture; always object 0 of a vocabulary. */
export const IMAGE_OBJECT = '__image__';

/** Name of the relation that ties each object to `__image__`; always predicate 0 of a vocabulary. */
export const IN_IMAGE_PREDICATE = '__in_image__';

/**
 * Word that fills the gaps of a vocabulary whose indices are category ids (COCO has 11 such gaps). It may occur more than
 * once and is never found by `objectIndex`.
 */
export const GAP_WORD = 'NONE';

/** sg2im's `vocab.json`. */
export type VocabularyJson = {
  readonly object_name_to_idx: Readonly<Record<string, number>>;
  readonly object_idx_to_name: readonly string[];
  readonly pred_name_to_idx: Readonly<Record<string, number>>;
  readonly pred_idx_to_name: readonly string[];
};

/** What is wrong with a vocabulary: where, what was expected, what came, and what to do. */
export class VocabularyError extends Error {
  override readonly name = 'VocabularyError';
  readonly code: VocabularyErrorCode;

  constructor(message: string, code: VocabularyErrorCode, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export type VocabularyErrorCode =
  'invalid_json' | 'wrong_type' | 'missing' | 'duplicate_word' | 'misplaced_reserved_word' | 'index_mismatch';

/**
 * A vocabulary from two word lists.
 *
 * @param objects Object words in order of their index. `__image__` is put first where the list does not have it.
 * @param predicates Predicate words in order of their index. `__in_image__` is put first where the list does not have it.
 * @throws VocabularyError if a word is empty or occurs twice, or if a reserved word is not in the first place.
 */
export function createVocabulary(objects: readonly string[], predicates: readonly string[]): Vocabulary {
  const objectWords = withReserved('objects', objects, IMAGE_OBJECT);
  const predicateWords = withReserved('predicates', predicates, IN_IMAGE_PREDICATE);
  const objectIndices = indexWords('objects', objectWords);
  const predicateIndices = indexWords('predicates', predicateWords);
  return Object.freeze({
    objects: objectWords,
    predicates: predicateWords,
    objectIndex: (name: string) => objectIndices.get(name),
    predicateIndex: (name: string) => predicateIndices.get(name),
  });
}

/**
 * The vocabulary in sg2im's `vocab.json`. Other keys of the file (attributes) are ignored.
 *
 * @param json The file's text, or what `JSON.parse` made of it.
 * @throws VocabularyError if a key is missing or malformed, or if the lists and the maps disagree.
 * @see google/sg2im: scripts/preprocess_vg.py, which writes this file.
 */
export function parseVocabulary(json: unknown): Vocabulary {
  const value = typeof json === 'string' ? parseText(json) : json;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new VocabularyError(
      `parseVocabulary: expected an object with the keys object_idx_to_name and pred_idx_to_name, ` +
        `received ${typeWord(value)}. Pass the content of sg2im's vocab.json.`,
      'wrong_type',
    );
  }
  const record = value as Record<string, unknown>;
  const objects = wordList(record, 'object_idx_to_name');
  const predicates = wordList(record, 'pred_idx_to_name');
  checkIndexMap(record, 'object_name_to_idx', objects);
  checkIndexMap(record, 'pred_name_to_idx', predicates);
  requireReserved('object_idx_to_name', objects, IMAGE_OBJECT);
  requireReserved('pred_idx_to_name', predicates, IN_IMAGE_PREDICATE);
  return createVocabulary(objects, predicates);
}

/** The content of sg2im's `vocab.json` for a vocabulary; `parseVocabulary` reads it back. */
export function vocabularyToJson(vocabulary: Vocabulary): VocabularyJson {
  return {
    object_name_to_idx: indexRecord(vocabulary.objects),
    object_idx_to_name: [...vocabulary.objects],
    pred_name_to_idx: indexRecord(vocabulary.predicates),
    pred_idx_to_name: [...vocabulary.predicates],
  };
}

function withReserved(list: string, words: readonly string[], reserved: string): readonly string[] {
  const place = words.indexOf(reserved);
  if (place > 0) throw misplaced(`createVocabulary: ${list}`, words, reserved);
  return Object.freeze(place === 0 ? [...words] : [reserved, ...words]);
}

function requireReserved(key: string, words: readonly string[], reserved: string): void {
  if (words[0] !== reserved) throw misplaced(`parseVocabulary: ${key}`, words, reserved);
}

function misplaced(where: string, words: readonly string[], reserved: string): VocabularyError {
  const place = words.indexOf(reserved);
  const remedy = place < 0 ? `Put "${reserved}" first` : `Move "${reserved}" from ${place} to 0`;
  return new VocabularyError(
    `${where}[0]: expected "${reserved}", received ${JSON.stringify(words[0]) ?? 'nothing'}. ` +
      `${remedy}: models use index 0 for it.`,
    'misplaced_reserved_word',
  );
}

function indexWords(list: string, words: readonly string[]): Map<string, number> {
  const indices = new Map<string, number>();
  words.forEach((word, index) => {
    if (typeof word !== 'string' || word.trim() === '') {
      throw new VocabularyError(
        `createVocabulary: ${list}[${index}]: expected a word, received ${JSON.stringify(word) ?? typeWord(word)}. ` +
          `Use "${GAP_WORD}" for an index without a word.`,
        'wrong_type',
      );
    }
    if (word === GAP_WORD) return;
    const first = indices.get(word);
    if (first !== undefined) {
      throw new VocabularyError(
        `createVocabulary: ${list}[${index}]: expected each word once, received "${word}", which is also at ${first}. ` +
          `Remove one of the two.`,
        'duplicate_word',
      );
    }
    indices.set(word, index);
  });
  return indices;
}

function indexRecord(words: readonly string[]): Record<string, number> {
  const entries = words.map((word, index): [string, number] => [word, index]);
  return Object.fromEntries(entries.filter(([word]) => word !== GAP_WORD));
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VocabularyError(
      `parseVocabulary: expected JSON, received text that is not (${reason}). Pass the content of sg2im's vocab.json.`,
      'invalid_json',
      { cause },
    );
  }
}

function wordList(record: Record<string, unknown>, key: string): readonly string[] {
  const value = Object.hasOwn(record, key) ? record[key] : undefined;
  if (value === undefined) {
    throw new VocabularyError(
      `parseVocabulary: expected the key ${key}, received an object without it. Pass the content of sg2im's vocab.json.`,
      'missing',
    );
  }
  if (!Array.isArray(value)) {
    throw new VocabularyError(
      `parseVocabulary: ${key}: expected a list of words, received ${typeWord(value)}. Write the words in order of index.`,
      'wrong_type',
    );
  }
  value.forEach((word: unknown, index) => {
    if (typeof word !== 'string' || word.trim() === '') {
      throw new VocabularyError(
        `parseVocabulary: ${key}[${index}]: expected a word, received ${JSON.stringify(word) ?? typeWord(word)}. ` +
          `Use "${GAP_WORD}" for an index without a word.`,
        'wrong_type',
      );
    }
  });
  return value as readonly string[];
}

/** The map is redundant, so it may be absent, but where it is present it must agree with the list. */
function checkIndexMap(record: Record<string, unknown>, key: string, words: readonly string[]): void {
  const value = Object.hasOwn(record, key) ? record[key] : undefined;
  if (value === undefined) return;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new VocabularyError(
      `parseVocabulary: ${key}: expected a map from word to index, received ${typeWord(value)}. Write it anew from the list.`,
      'wrong_type',
    );
  }
  for (const [word, index] of Object.entries(value)) {
    if (typeof index !== 'number' || words[index] !== word) {
      throw new VocabularyError(
        `parseVocabulary: ${key}[${JSON.stringify(word)}]: expected the word's place in the list, which is ` +
          `${words.indexOf(word)}, received ${JSON.stringify(index)}. The file contradicts itself: write it anew.`,
        'index_mismatch',
      );
    }
  }
}

function typeWord(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : typeof value;
}

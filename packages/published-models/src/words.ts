import { cocoStuffVocabulary, visualGenomeVocabulary } from '@sgdiff/datasets';
import type { SgEncoderWords } from '@sgdiff/sg-encoder';
import type { Vocabulary } from '@sgdiff/sg-schema';

/** The published graph encoders by their words; `custom` for other sizes. */
export type WordsVariant = 'vg' | 'coco' | 'vg150' | 'custom';

/** The words that belong to a graph encoder. */
export type PlannedWords = SgEncoderWords & {
  readonly variant: WordsVariant;
  /** For people: whose words, e.g. `the words of Visual Genome`. */
  readonly title: string;
  /** The words themselves, where these sizes have published ones; else the user must bring them. */
  readonly vocabulary?: Vocabulary;
};

export const visualGenomeWords = known('vg', 'the words of Visual Genome', visualGenomeVocabulary());
export const cocoStuffWords = known('coco', 'the words of COCO-Stuff', cocoStuffVocabulary());

/** Which published encoder has so many words. */
export function identifyWords({ objectCount, predicateCount }: SgEncoderWords): PlannedWords {
  const found = [visualGenomeWords, cocoStuffWords].find(
    (words) => words.objectCount === objectCount && words.predicateCount === predicateCount,
  );
  if (found) return found;
  const title = `${objectCount} object words and ${predicateCount} predicates`;
  // The cut of Visual Genome to 150 kinds of objects and 50 relations that scene graph generation uses.
  return {
    objectCount,
    predicateCount,
    title,
    variant: objectCount === 151 && predicateCount === 51 ? 'vg150' : 'custom',
  };
}

function known(
  variant: WordsVariant,
  title: string,
  vocabulary: Vocabulary,
): PlannedWords & { readonly vocabulary: Vocabulary } {
  const { objects, predicates } = vocabulary;
  return { objectCount: objects.length, predicateCount: predicates.length, variant, title, vocabulary };
}

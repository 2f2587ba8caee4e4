import { createVocabulary, IMAGE_OBJECT, IN_IMAGE_PREDICATE, type Vocabulary } from '@sgdiff/sg-schema';

/** The parts of a picture that things are in, on or in front of. */
export const PART_WORDS = ['sky', 'grass', 'sand', 'snow', 'ocean', 'road', 'mountain', 'hill', 'cloud'] as const;

/** The things that stand, drive, swim and fly. */
export const THING_WORDS = [
  'tree',
  'bush',
  'flower',
  'rock',
  'house',
  'fence',
  'bench',
  'boat',
  'car',
  'bus',
  'plane',
  'kite',
  'umbrella',
  'ball',
  'horse',
  'cow',
  'sheep',
  'zebra',
  'giraffe',
  'elephant',
  'dog',
  'cat',
  'bird',
  'man',
  'woman',
  'flag',
] as const;

/** The predicates of the picture-book; `relationHolds` defines each. */
export const PREDICATE_WORDS = [
  'left of',
  'right of',
  'above',
  'below',
  'inside',
  'surrounding',
  'on',
  'in',
  'standing on',
  'by',
  'behind',
  'in front of',
  'under',
] as const;

export type PartCategory = (typeof PART_WORDS)[number];
export type ThingCategory = (typeof THING_WORDS)[number];
export type Category = PartCategory | ThingCategory;
export type Predicate = (typeof PREDICATE_WORDS)[number];

/** Those that stand on something rather than being on it. */
export const LIVING: ReadonlySet<string> = new Set<Category>([
  'horse',
  'cow',
  'sheep',
  'zebra',
  'giraffe',
  'elephant',
  'dog',
  'cat',
  'bird',
  'man',
  'woman',
]);

/** Those found in the sky. Birds also come down to the ground. */
export const AIRBORNE: ReadonlySet<string> = new Set<Category>(['cloud', 'plane', 'kite', 'bird']);

/** Parts that can bear things. */
export const GROUND: ReadonlySet<string> = new Set<Category>(['grass', 'sand', 'snow', 'ocean', 'road']);

/** Things wide enough above to be under. */
export const OVERHANGING: ReadonlySet<string> = new Set<Category>(['tree', 'umbrella']);

/** The words of every picture-book graph: 35 objects and 13 predicates, with `__image__` and `__in_image__` before them. */
export function pictureBookVocabulary(): Vocabulary {
  return createVocabulary([IMAGE_OBJECT, ...PART_WORDS, ...THING_WORDS], [IN_IMAGE_PREDICATE, ...PREDICATE_WORDS]);
}

/** Whether the word names a part of the picture (sky, grounds, hills, clouds) rather than a thing in it. */
export function isPart(category: string): category is PartCategory {
  return (PART_WORDS as readonly string[]).includes(category);
}

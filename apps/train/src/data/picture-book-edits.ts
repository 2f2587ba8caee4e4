import { relationHolds } from '@sgdiff/datasets';
import { compliance, type Detection, type RelationRule } from '@sgdiff/metrics';
import type { Rng } from '@sgdiff/nn';
import { addObject, relate, removeObject, renameObject, renameRelation, withIds, type SceneGraph } from '@sgdiff/sg-schema';

/** Ways to change a graph: another word for a thing, another relation between two, one thing more with its relation, one less. */
export const EDIT_KINDS = ['replace', 'relate', 'add', 'remove'] as const;
export type EditKind = (typeof EDIT_KINDS)[number];

/** A change of a picture-book graph, and how to tell from what is detected in a picture whether it was made. */
export type GraphEdit = {
  readonly kind: EditKind;
  /** E.g. `sheep -> zebra`. */
  readonly text: string;
  readonly before: SceneGraph;
  readonly after: SceneGraph;
  /** Words of the things it is about, before and after. */
  readonly words: readonly string[];
  /**
   * Whether a picture shows what the changed graph asks for: the new thing and not the old one, in all its relations; the new relation; no
   * more of what is gone.
   */
  readonly shown: (detections: readonly Detection[]) => boolean;
  /** Of the objects that the edit is not about, which are in the picture before, and which of these still are in the one after. */
  readonly others: (before: readonly Detection[], after: readonly Detection[]) => { readonly there: number; readonly kept: number };
  /** Whether a picture shows what the edit starts from: the thing that is to go, the relation that is to change. */
  readonly shownBefore: (detections: readonly Detection[]) => boolean;
};

/** Words that can stand in for each other without the rest of the graph becoming odd. */
const ALIKE: readonly (readonly string[])[] = [
  ['horse', 'cow', 'sheep', 'zebra', 'giraffe', 'elephant', 'dog', 'cat', 'man', 'woman'],
  ['tree', 'bush', 'flower', 'rock', 'house', 'fence', 'bench', 'car', 'bus', 'umbrella', 'ball', 'flag'],
  ['plane', 'kite', 'bird'],
];
const LIVING = ALIKE[0];
const STANDING = [...ALIKE[0], ...ALIKE[1]];
const THINGS = [...ALIKE.flat(), 'boat'];
const GROUNDS = ['grass', 'sand', 'snow', 'road'];
/** What a relation between two things may change to. */
const OTHER: Readonly<Record<string, readonly string[]>> = {
  'left of': ['right of'],
  'right of': ['left of'],
  behind: ['in front of', 'left of', 'right of'],
  'in front of': ['behind', 'left of', 'right of'],
  by: ['left of', 'right of'],
};

/**
 * A random edit of that kind, or undefined where the graph has nothing to make it on.
 *
 * @param tolerance Slack of the relation rule on detected boxes, in picture sides.
 */
export function sampleEdit(graph: SceneGraph, kind: EditKind, rng: Rng, tolerance: number): GraphEdit | undefined {
  const { boxes: _, ...rest } = graph; // they are those of the true scene
  const before = withIds(rest);
  const { objects, relationships } = before;
  const pick = <T>(list: readonly T[]): T | undefined => (list.length === 0 ? undefined : list[rng.int(list.length)]);
  const once = (word: string): boolean => objects.filter((other) => other === word).length === 1;
  const things = objects.flatMap((word, i) => (THINGS.includes(word) && once(word) ? [i] : []));
  const fresh = (words: readonly string[]): string | undefined => pick(words.filter((word) => !objects.includes(word)));
  const sees = (word: string) => (detections: readonly Detection[]) => detections.some(({ category }) => category === word);
  const rule: RelationRule = (predicate, a, b) => relationHolds(predicate, a, b, { tolerance });
  const holds = (subject: string, predicate: string, object: string) => (detections: readonly Detection[]) =>
    compliance({ objects: [subject, object], relationships: [[0, predicate, 1]] }, detections, rule).relations[0];
  /** Whether all relations of an object of a graph hold. */
  const holdsAll = (of: SceneGraph, place: number) => (detections: readonly Detection[]) => {
    const { relations } = compliance(of, detections, rule);
    return of.relationships.every(([s, , o], r) => (s !== place && o !== place) || relations[r]);
  };
  const othersThan =
    (words: readonly string[], after: SceneGraph): GraphEdit['others'] =>
    (foundBefore, foundAfter) => {
      const was = compliance(before, foundBefore, rule).entities;
      const is = compliance(after, foundAfter, rule).entities;
      const there = before.objects.flatMap((word, i) => (was[i] && !words.includes(word) ? [before.ids![i]] : []));
      return { there: there.length, kept: there.filter((id) => is[after.ids!.indexOf(id)]).length };
    };

  switch (kind) {
    case 'replace': {
      const place = pick(things.filter((i) => ALIKE.some((words) => words.includes(objects[i]))));
      if (place === undefined) return undefined;
      const word = objects[place];
      const other = fresh(ALIKE.find((words) => words.includes(word))!);
      if (other === undefined) return undefined;
      const after = renameObject(before, place, other);
      return {
        kind,
        text: `${word} -> ${other}`,
        before,
        after,
        words: [word, other],
        shown: (found) => sees(other)(found) && !sees(word)(found) && holdsAll(after, place)(found),
        others: othersThan([word, other], after),
        shownBefore: (found) => sees(word)(found) && !sees(other)(found),
      };
    }
    case 'relate': {
      const choices = relationships.flatMap(([s, predicate, o], r) => (predicate in OTHER && things.includes(s) && things.includes(o) ? [r] : []));
      const place = pick(choices);
      if (place === undefined) return undefined;
      const [s, predicate, o] = relationships[place];
      const [subject, object, other] = [objects[s], objects[o], pick(OTHER[predicate])!];
      const after = renameRelation(before, place, other);
      return {
        kind,
        text: `${subject} ${predicate} ${object} -> ${other}`,
        before,
        after,
        words: [subject, object],
        shown: holds(subject, other, object),
        others: othersThan([subject, object], after),
        shownBefore: (found) => holds(subject, predicate, object)(found) && !holds(subject, other, object)(found),
      };
    }
    case 'add': {
      const word = fresh(STANDING);
      const grounds = objects.flatMap((ground, i) => (GROUNDS.includes(ground) && once(ground) ? [i] : []));
      const beside = grounds.length === 0 || (things.length > 0 && rng.int(2) === 0);
      const target = pick(beside ? things : grounds);
      if (word === undefined || target === undefined || objects.length > 7) return undefined;
      const predicate = beside ? pick(['left of', 'right of'])! : LIVING.includes(word) ? 'standing on' : 'on';
      const grown = addObject(before, word);
      const after = relate(grown, grown.objects.length - 1, predicate, target);
      return {
        kind,
        text: `+ ${word} ${predicate} ${objects[target]}`,
        before,
        after,
        words: [word],
        shown: holds(word, predicate, objects[target]),
        others: othersThan([word], after),
        shownBefore: (found) => !sees(word)(found),
      };
    }
    case 'remove': {
      const place = pick(things);
      if (place === undefined || objects.length < 3) return undefined;
      const word = objects[place];
      const after = removeObject(before, place);
      return {
        kind,
        text: `- ${word}`,
        before,
        after,
        words: [word],
        shown: (found) => !sees(word)(found),
        others: othersThan([word], after),
        shownBefore: sees(word),
      };
    }
  }
}

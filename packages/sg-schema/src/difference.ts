import type { SceneGraph, Triple } from './types';

import { withIds } from './edit';

/** What one graph has that another has not, as positions in the two. */
export type GraphDifference = {
  readonly objects: {
    readonly added: readonly number[]; // after
    readonly removed: readonly number[]; // before
    /** The same object with another word or weight: its position before and after. */
    readonly changed: readonly (readonly [before: number, after: number])[];
  };
  /** Relations between objects that are in both graphs, and those of added and removed ones. One with another weight is both. */
  readonly relationships: {
    readonly added: readonly number[]; // after
    readonly removed: readonly number[]; // before
  };
  /** Whether they have different negative graphs. */
  readonly negative: boolean;
};

/**
 * What has to change in `before` to make it `after`.
 *
 * An object is the same where it has the same id; if only `after` has ids, `before` has those that edits give it (`withIds`). Between
 * graphs that have no id in common, or where `after` has none, it is the same where it is the n-th of its word; those left over on both
 * sides are taken in order for renamed ones. A renamed object keeps its relations: they are not counted as changed. Order and boxes do
 * not matter.
 */
export function graphDifference(before: SceneGraph, after: SceneGraph): GraphDifference {
  const partner = partners(before, after); // of each object before, its position after
  const partnered = new Set(partner);
  const places = before.objects.map((_, i) => i);
  const weightOf = (graph: SceneGraph, i: number): number => graph.weights?.[i] ?? 1;
  const differs = (i: number, j: number): boolean =>
    before.objects[i] !== after.objects[j] || weightOf(before, i) !== weightOf(after, j);

  // Relations as text, in the positions of `after`; those of removed objects have no equal there.
  const told = (graph: SceneGraph, place: (object: number) => number | undefined): string[] =>
    graph.relationships.map(([s, predicate, o]: Triple, r) =>
      JSON.stringify([
        place(s) ?? `gone ${s}`,
        predicate,
        place(o) ?? `gone ${o}`,
        graph.relationshipWeights?.[r] ?? 1,
      ]),
    );
  const was = told(before, (object) => partner[object]);
  const is = told(after, (object) => object);
  return {
    objects: {
      added: after.objects.map((_, j) => j).filter((j) => !partnered.has(j)),
      removed: places.filter((i) => partner[i] === undefined),
      changed: places.flatMap((i) => {
        const j = partner[i];
        return j !== undefined && differs(i, j) ? [[i, j] as const] : [];
      }),
    },
    relationships: { added: without(is, was), removed: without(was, is) },
    negative: differ(before.negative, after.negative),
  };
}

function partners(before: SceneGraph, after: SceneGraph): (number | undefined)[] {
  if (after.ids !== undefined) {
    const byId = withIds(before).ids!.map((id) => position(after.ids!, id));
    if (byId.some((place) => place !== undefined)) return byId;
  }
  const [namesBefore, namesAfter] = [numbered(before.objects), numbered(after.objects)];
  const found = namesBefore.map((name) => position(namesAfter, name));
  const left = namesAfter.flatMap((name, j) => (namesBefore.includes(name) ? [] : [j]));
  return found.map((place) => place ?? left.shift());
}

function position(list: readonly string[], entry: string): number | undefined {
  const place = list.indexOf(entry);
  return place < 0 ? undefined : place;
}

/** `1 sheep`, `2 sheep` …: each object by its word and the how manieth of it that it is. */
function numbered(objects: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return objects.map((word) => {
    const number = (seen.get(word) ?? 0) + 1;
    seen.set(word, number);
    return `${number} ${word}`;
  });
}

/** Positions of entries that the other list has not, or has fewer times. */
function without(list: readonly string[], other: readonly string[]): number[] {
  const left = [...other];
  return list.flatMap((entry, i) => {
    const place = left.indexOf(entry);
    if (place < 0) return [i];
    left.splice(place, 1);
    return [];
  });
}

/** Whether negative graphs say different things; their ids do not matter. */
function differ(before: SceneGraph | undefined, after: SceneGraph | undefined): boolean {
  if (before === undefined || after === undefined) return before !== after;
  const { objects, relationships } = graphDifference(before, { ...after, ids: undefined });
  const lists = [objects.added, objects.removed, objects.changed, relationships.added, relationships.removed];
  return lists.some((list) => list.length > 0);
}

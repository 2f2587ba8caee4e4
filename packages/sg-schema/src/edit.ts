import type { Issue, IssueCode, IssuePath } from './issues';
import type { SelfRelations } from './rules';
import type { Box, SceneGraph, Triple } from './types';

import { count, createIssue, createIssueList, quote, SceneGraphError } from './issues';
import { addSelfRelation, checkObjectWord, checkPredicateWord, positionRange } from './rules';

/** An object of a graph: its position, or its id. */
export type ObjectRef = number | string;

export type AddObjectOptions = {
  /** Default: `o` and a number above those in use. */
  readonly id?: string;
  readonly box?: Box;
  readonly weight?: number;
};

export type RelateOptions = {
  /** Whether an object may relate to itself. Default: `'error'`. */
  readonly selfRelations?: SelfRelations;
  /** How much the relation matters; 1 is usual. */
  readonly weight?: number;
};

/**
 * The graph with an id for every object: the ids it has, or `o0`, `o1`, … by position. All edits do this first, so that an object
 * keeps its id while its position changes.
 */
export function withIds(graph: SceneGraph): SceneGraph {
  return graph.ids === undefined ? { ...graph, ids: graph.objects.map((_, i) => `o${i}`) } : graph;
}

/**
 * The graph with one more object, as the last.
 *
 * @returns A new graph; the id of the new object is its last id.
 * @throws SceneGraphError if the word is empty or reserved, or the id is empty or taken.
 */
export function addObject(graph: SceneGraph, word: string, options: AddObjectOptions = {}): SceneGraph {
  const base = withIds(graph);
  const ids = base.ids!;
  const place = base.objects.length;
  const issues = createIssueList();
  checkObjectWord(issues, ['objects', place], word);
  throwIfAny('addObject', issues.issues);
  const id = options.id ?? freshId(ids);
  if (id === '') {
    fail('addObject', 'wrong_type', ['ids', place], 'a name that is not empty', '""', 'leave the id out to get one');
  }
  if (ids.includes(id)) {
    const taken = `${quote(id)}, which is also at ${ids.indexOf(id)}`;
    fail('addObject', 'duplicate_id', ['ids', place], 'an id that no other object has', taken, 'choose another id');
  }
  const boxes = base.boxes ?? (options.box && base.objects.map(() => null));
  const weights = base.weights ?? (options.weight === undefined ? undefined : base.objects.map(() => 1));
  return {
    ...base,
    objects: [...base.objects, word],
    ids: [...ids, id],
    ...(boxes && { boxes: [...boxes, options.box ?? null] }),
    ...(weights && { weights: [...weights, options.weight ?? 1] }),
  };
}

/**
 * The graph without an object and without the relations that it took part in. The others keep their order and their ids.
 *
 * @throws SceneGraphError if there is no such object.
 */
export function removeObject(graph: SceneGraph, object: ObjectRef): SceneGraph {
  const base = withIds(graph);
  const gone = findObject('removeObject', base, object);
  const others = <T>(list: readonly T[]): T[] => list.filter((_, i) => i !== gone);
  const moved = (position: number): number => (position > gone ? position - 1 : position);
  const stays = base.relationships.map(([subject, , target]) => subject !== gone && target !== gone);
  return {
    ...base,
    objects: others(base.objects),
    relationships: base.relationships
      .filter((_, i) => stays[i])
      .map(([subject, predicate, target]): Triple => [moved(subject), predicate, moved(target)]),
    ids: others(base.ids!),
    ...(base.boxes && { boxes: others(base.boxes) }),
    ...(base.weights && { weights: others(base.weights) }),
    ...(base.relationshipWeights && { relationshipWeights: base.relationshipWeights.filter((_, i) => stays[i]) }),
  };
}

/**
 * The graph with another word for an object; id and relations stay.
 *
 * @throws SceneGraphError if there is no such object, or if the word is empty or reserved.
 */
export function renameObject(graph: SceneGraph, object: ObjectRef, word: string): SceneGraph {
  const base = withIds(graph);
  const place = findObject('renameObject', base, object);
  const issues = createIssueList();
  checkObjectWord(issues, ['objects', place], word);
  throwIfAny('renameObject', issues.issues);
  return { ...base, objects: base.objects.with(place, word) };
}

/**
 * The graph with one more relation, as the last. A relation that is already there is added again.
 *
 * @throws SceneGraphError if an object is not there, if both are the same, or if the predicate is empty or reserved.
 */
export function relate(
  graph: SceneGraph,
  subject: ObjectRef,
  predicate: string,
  object: ObjectRef,
  { selfRelations = 'error', weight }: RelateOptions = {},
): SceneGraph {
  const base = withIds(graph);
  const path = ['relationships', base.relationships.length];
  const triple: Triple = [findObject('relate', base, subject), predicate, findObject('relate', base, object)];
  const issues = createIssueList();
  checkPredicateWord(issues, [...path, 1], predicate);
  if (triple[0] === triple[2] && selfRelations !== 'allow') {
    const word = base.objects[triple[0]]!;
    addSelfRelation(issues, path, word, `choose another object, or add a second ${quote(word)}`);
  }
  throwIfAny('relate', issues.issues);
  const weights = base.relationshipWeights ?? (weight === undefined ? undefined : base.relationships.map(() => 1));
  return {
    ...base,
    relationships: [...base.relationships, triple],
    ...(weights && { relationshipWeights: [...weights, weight ?? 1] }),
  };
}

/**
 * The graph without one relation.
 *
 * @param relation Its position in `relationships`.
 * @throws SceneGraphError if there is no such relation.
 */
export function unrelate(graph: SceneGraph, relation: number): SceneGraph {
  const base = withIds(graph);
  checkRelation('unrelate', base, relation);
  const others = <T>(list: readonly T[]): T[] => list.filter((_, i) => i !== relation);
  return {
    ...base,
    relationships: others(base.relationships),
    ...(base.relationshipWeights && { relationshipWeights: others(base.relationshipWeights) }),
  };
}

/**
 * The graph with another predicate in one relation, which keeps its place.
 *
 * @param relation Its position in `relationships`.
 * @throws SceneGraphError if there is no such relation, or if the predicate is empty or reserved.
 */
export function renameRelation(graph: SceneGraph, relation: number, predicate: string): SceneGraph {
  const base = withIds(graph);
  checkRelation('renameRelation', base, relation);
  const issues = createIssueList();
  checkPredicateWord(issues, ['relationships', relation, 1], predicate);
  throwIfAny('renameRelation', issues.issues);
  const [subject, , object] = base.relationships[relation]!;
  return { ...base, relationships: base.relationships.with(relation, [subject, predicate, object]) };
}

/** One above the highest number in use, so that the id of an object removed from the middle is not given again. */
function freshId(ids: readonly string[]): string {
  let next = 0;
  for (const id of ids) {
    const number = /^o(\d{1,15})$/.exec(id)?.[1];
    if (number !== undefined) next = Math.max(next, Number(number) + 1);
  }
  return `o${next}`;
}

function findObject(where: string, graph: SceneGraph, object: ObjectRef): number {
  const { objects, ids = [] } = graph;
  if (typeof object === 'string') {
    const place = ids.indexOf(object);
    if (place >= 0) return place;
    const some = ids.slice(0, 20).join(', ') + (ids.length > 20 ? ', …' : '');
    fail(where, 'unknown_id', ['ids'], 'the id of an object', quote(object), `use one of: ${some || '(no objects)'}`);
  }
  if (!Number.isInteger(object) || object < 0 || object >= objects.length) {
    const hint = 'use a position or an id from the graph';
    fail(where, 'index_out_of_range', ['objects'], positionRange(objects.length), String(object), hint);
  }
  return object;
}

function checkRelation(where: string, graph: SceneGraph, relation: number): void {
  const n = graph.relationships.length;
  if (Number.isInteger(relation) && relation >= 0 && relation < n) return;
  const expected = n === 0 ? 'no relation, as there are none' : `a position in the list of ${count(n, 'relation')}`;
  const hint = 'use a position in relationships, counting from 0';
  fail(where, 'index_out_of_range', ['relationships'], expected, String(relation), hint);
}

function fail(
  where: string,
  code: IssueCode,
  path: IssuePath,
  expected: string,
  received: string,
  hint: string,
): never {
  throw new SceneGraphError(where, [createIssue(code, path, { expected, received, hint })]);
}

function throwIfAny(where: string, issues: readonly Issue[]): void {
  if (issues.length > 0) throw new SceneGraphError(where, issues);
}

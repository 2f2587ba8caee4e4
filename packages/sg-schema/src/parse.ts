import type { IssueList, Issue, IssuePath } from './issues';
import type { SelfRelations } from './rules';
import type { Box, SceneGraph, Triple, Vocabulary } from './types';

import { createIssue, createIssueList, describeValue, quote, SceneGraphError } from './issues';
import { findJsonError } from './json-error';
import { editDistance } from './nearest';
import {
  addOutOfRange,
  addSelfRelation,
  checkObjectCount,
  checkObjectWord,
  checkPredicateWord,
  checkTripleCount,
  positionRange,
} from './rules';

export type ParseOptions = {
  /** The words that may occur. Without it any word may. */
  readonly vocabulary?: Vocabulary;
  /** The most triples, counting each relation and one `__in_image__` per object. Default: no limit. */
  readonly maxTriples?: number;
  /** The most objects, `__image__` not counted. Default: 10,000, which only guards against hostile files. */
  readonly maxObjects?: number;
  /** Whether `[2, "next to", 2]` is an error. Default: `'error'`. Some of sg2im's own graphs need `'allow'`. */
  readonly selfRelations?: SelfRelations;
};

export type ParseResult =
  { readonly ok: true; readonly graph: SceneGraph } | { readonly ok: false; readonly issues: readonly Issue[] };

export type ParseListResult =
  | { readonly ok: true; readonly graphs: readonly SceneGraph[] }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/** Guards memory and time where the caller sets no limit; far above any real graph (GQA's largest has 52 objects). */
const MOST_OBJECTS = 10_000;
const MOST_RELATIONS = 100_000;

const KEYS = ['objects', 'relationships', 'ids', 'boxes', 'weights', 'relationshipWeights', 'negative'];

/**
 * The scene graph in data from outside, checked.
 *
 * Repeated triples are kept: sg2im's and Visual Genome's graphs have them, and they weigh in the encoder's mean. Keys that are no
 * part of the format are ignored, unless they look like a misspelt one.
 *
 * @param input sg2im's form, as JSON text or as what `JSON.parse` made of it. Not changed, and not shared with the result.
 * @throws SceneGraphError listing all that is wrong, each with its path, up to 100.
 */
export function parseSceneGraph(input: unknown, options: ParseOptions = {}): SceneGraph {
  const result = safeParseSceneGraph(input, options);
  if (!result.ok) throw new SceneGraphError('parseSceneGraph', result.issues);
  return result.graph;
}

/** As `parseSceneGraph`, but returns the issues instead of throwing them. */
export function safeParseSceneGraph(input: unknown, options: ParseOptions = {}): ParseResult {
  const { value, issues } = safely((list) => {
    const data = readJson(input, list);
    if (data === undefined) return undefined;
    if (Array.isArray(data.value)) {
      list.add('wrong_type', [], {
        expected: 'one graph, {"objects": [...], "relationships": [...]}',
        received: describeValue(data.value),
        hint: 'pass one entry of the list, or use parseSceneGraphs for all of it',
      });
      return undefined;
    }
    return readGraph(data.value, [], list, options);
  });
  return issues.length > 0 || value === undefined ? { ok: false, issues } : { ok: true, graph: value };
}

/**
 * All the scene graphs in data from outside, checked: one graph, or a list of them as in sg2im's files.
 *
 * @throws SceneGraphError listing all that is wrong in any of them. For a list, paths start with the place in it.
 */
export function parseSceneGraphs(input: unknown, options: ParseOptions = {}): readonly SceneGraph[] {
  const result = safeParseSceneGraphs(input, options);
  if (!result.ok) throw new SceneGraphError('parseSceneGraphs', result.issues);
  return result.graphs;
}

/** As `parseSceneGraphs`, but returns the issues instead of throwing them. */
export function safeParseSceneGraphs(input: unknown, options: ParseOptions = {}): ParseListResult {
  const { value, issues } = safely((list) => {
    const data = readJson(input, list);
    if (data === undefined) return undefined;
    const graphs: (SceneGraph | undefined)[] = [];
    if (!Array.isArray(data.value)) {
      graphs.push(readGraph(data.value, [], list, options));
    } else {
      for (let i = 0; i < data.value.length && !list.full; i++) {
        graphs.push(readGraph(data.value[i], [i], list, options));
      }
    }
    return graphs.filter((graph) => graph !== undefined);
  });
  return issues.length > 0 || value === undefined ? { ok: false, issues } : { ok: true, graphs: value };
}

/** Objects that throw when they are read (getters, proxies) become an issue too: the safe functions never throw. */
function safely<T>(read: (issues: IssueList) => T | undefined): { value: T | undefined; issues: readonly Issue[] } {
  const list = createIssueList();
  try {
    return { value: read(list), issues: list.issues };
  } catch (error) {
    const issue = createIssue('unreadable', [], {
      expected: 'plain data',
      received: `an object that cannot be read (${describeValue(error instanceof Error ? error.message : error)})`,
      hint: 'pass JSON text or the result of JSON.parse',
    });
    return { value: undefined, issues: [issue] };
  }
}

function readJson(input: unknown, issues: IssueList): { value: unknown } | undefined {
  if (typeof input !== 'string') return { value: input };
  const text = input.startsWith('\ufeff') ? input.slice(1) : input; // Editors on Windows put a byte order mark first.
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    const error = findJsonError(text);
    const looksLikeWords = /^\s*[a-z]/i.test(text) && !/^\s*(?:true|false|null)/.test(text);
    issues.add('invalid_json', [], {
      expected: error === undefined ? 'JSON text' : `${error.expected} at line ${error.line}, column ${error.column}`,
      received: error === undefined ? 'text that cannot be parsed' : error.received,
      hint: looksLikeWords ? 'use parseSceneText for a graph written in words' : 'correct the JSON text there',
    });
    return undefined;
  }
}

function readGraph(value: unknown, path: IssuePath, issues: IssueList, options: ParseOptions): SceneGraph | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    issues.add('wrong_type', path, {
      expected: 'a graph, {"objects": [...], "relationships": [...]}',
      received: describeValue(value),
      hint: 'write the graph in the form of sg2im',
    });
    return undefined;
  }
  const record = value as Record<string, unknown>;
  const misspelt = checkKeys(record, path, issues);
  const objects = misspelt.has('objects') ? undefined : readObjects(record, path, issues, options);
  // Without a list of objects no position can be judged, but the form of the relations can.
  const relationships = misspelt.has('relationships')
    ? undefined
    : readRelationships(record, path, issues, objects, options);
  if (objects === undefined) return undefined;
  const perObject = { count: objects.length, owner: 'object' };
  const graph: SceneGraph = {
    objects,
    relationships: relationships ?? [],
    ...defined('ids', readExtra(record, 'ids', perObject, path, issues, readIds)),
    ...defined('boxes', readExtra(record, 'boxes', perObject, path, issues, readBoxes)),
    ...defined('weights', readExtra(record, 'weights', perObject, path, issues, readWeights)),
    ...(relationships &&
      defined(
        'relationshipWeights',
        readExtra(
          record,
          'relationshipWeights',
          { count: relationships.length, owner: 'relation' },
          path,
          issues,
          readWeights,
        ),
      )),
    ...defined('negative', readNegative(record, path, issues, options)),
  };
  if (relationships !== undefined && options.maxTriples !== undefined && !issues.full) {
    checkTripleCount(issues, path, graph, options.maxTriples);
  }
  return graph;
}

/** Reports keys that look like a misspelt one, and returns which ones they stand for. */
function checkKeys(record: Record<string, unknown>, path: IssuePath, issues: IssueList): ReadonlySet<string> {
  const misspelt = new Set<string>();
  for (const key of Object.keys(record)) {
    if (issues.full) break;
    // `"id": 7` or `"weight": "heavy"` is somebody's own note; a list or an object under such a key is a slip.
    if (KEYS.includes(key) || key.length > 20 || typeof record[key] !== 'object' || record[key] === null) continue;
    const meant = KEYS.find(
      (known) => own(record, known) === undefined && (editDistance(key, known, 2) <= 2 || ALIASES[known] === key),
    );
    if (meant === undefined) continue;
    misspelt.add(meant);
    issues.add('unknown_key', path, {
      expected: `the key ${quote(meant)}`,
      received: quote(key),
      hint: `rename the key to ${quote(meant)}`,
    });
  }
  return misspelt;
}

const ALIASES: Readonly<Record<string, string>> = { relationships: 'relations' };

function readObjects(
  record: Record<string, unknown>,
  path: IssuePath,
  issues: IssueList,
  options: ParseOptions,
): string[] | undefined {
  const at = [...path, 'objects'];
  const list = own(record, 'objects');
  if (list === undefined) {
    issues.add('missing_key', at, {
      expected: 'a list of words',
      received: 'nothing',
      hint: 'add "objects": ["sheep", "grass"]',
    });
    return undefined;
  }
  if (!Array.isArray(list)) {
    issues.add('wrong_type', at, {
      expected: 'a list of words',
      received: describeValue(list),
      hint: 'write the objects as ["sheep", "grass"]',
    });
    return undefined;
  }
  if (list.length === 0) {
    issues.add('no_objects', at, {
      expected: 'at least one object',
      received: 'an empty list',
      hint: 'name something to draw',
    });
    return undefined;
  }
  if (checkObjectCount(issues, at, list.length, options.maxObjects ?? MOST_OBJECTS)) return undefined;
  const objects: string[] = [];
  for (let i = 0; i < list.length && !issues.full; i++) {
    const word: unknown = list[i];
    if (typeof word === 'string') checkObjectWord(issues, [...at, i], word, options.vocabulary);
    else {
      issues.add('wrong_type', [...at, i], {
        expected: 'a word',
        received: describeValue(word),
        hint: 'write what the object is, not its number in a vocabulary',
      });
    }
    objects.push(typeof word === 'string' ? word : '');
  }
  return objects;
}

function readRelationships(
  record: Record<string, unknown>,
  path: IssuePath,
  issues: IssueList,
  objects: readonly string[] | undefined,
  options: ParseOptions,
): Triple[] | undefined {
  const at = [...path, 'relationships'];
  const list = own(record, 'relationships');
  if (list === undefined) {
    issues.add('missing_key', at, {
      expected: 'a list of relations',
      received: 'nothing',
      hint: 'add "relationships": [], or fill it with [subject, predicate, object]',
    });
    return undefined;
  }
  if (!Array.isArray(list)) {
    issues.add('wrong_type', at, {
      expected: 'a list of relations',
      received: describeValue(list),
      hint: 'write the relations as [[0, "standing on", 1]]',
    });
    return undefined;
  }
  if (list.length > MOST_RELATIONS) {
    issues.add('too_many_triples', at, {
      expected: `at most ${MOST_RELATIONS} relations`,
      received: String(list.length),
      hint: 'remove relations, no model takes so many',
    });
    return undefined;
  }
  const triples: Triple[] = [];
  for (let i = 0; i < list.length && !issues.full; i++) {
    const triple = readTriple(list[i], [...at, i], issues, objects, options);
    if (triple !== undefined) triples.push(triple);
  }
  return triples.length === list.length ? triples : undefined;
}

function readTriple(
  value: unknown,
  path: IssuePath,
  issues: IssueList,
  objects: readonly string[] | undefined,
  options: ParseOptions,
): Triple | undefined {
  if (!Array.isArray(value) || value.length !== 3) {
    issues.add('wrong_shape', path, {
      expected: 'a relation [subject, predicate, object]',
      received: describeValue(value),
      hint: 'write it as [0, "standing on", 1], where the numbers are positions in objects',
    });
    return undefined;
  }
  const subject = readPosition(value[0], [...path, 0], issues, objects);
  const predicate = readPredicate(value[1], [...path, 1], issues, options);
  const object = readPosition(value[2], [...path, 2], issues, objects);
  if (subject === undefined || predicate === undefined || object === undefined) return undefined;
  if (subject === object && options.selfRelations !== 'allow') {
    const word = objects?.[subject] ?? String(subject);
    addSelfRelation(issues, path, word, `correct a position, or add a second ${quote(word)} to objects`);
  }
  return [subject, predicate, object];
}

function readPosition(
  value: unknown,
  path: IssuePath,
  issues: IssueList,
  objects: readonly string[] | undefined,
): number | undefined {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    const place = typeof value === 'string' && objects !== undefined ? objects.indexOf(value) : -1;
    issues.add('wrong_type', path, {
      expected: objects === undefined ? 'the position of an object' : positionRange(objects.length),
      received: describeValue(value),
      hint:
        place >= 0
          ? `write ${place}, where ${quote(objects![place]!)} stands in objects`
          : 'write where the object stands in objects, counting from 0',
    });
    return undefined;
  }
  if (objects !== undefined && (value < 0 || value >= objects.length)) {
    addOutOfRange(issues, path, value, objects.length);
    return undefined;
  }
  return value + 0; // -0 becomes 0.
}

function readPredicate(value: unknown, path: IssuePath, issues: IssueList, options: ParseOptions): string | undefined {
  if (typeof value === 'string') {
    checkPredicateWord(issues, path, value, options.vocabulary);
    return value;
  }
  const word = typeof value === 'number' ? options.vocabulary?.predicates[value] : undefined;
  issues.add('wrong_type', path, {
    expected: 'the word of a predicate',
    received: describeValue(value),
    hint:
      word !== undefined && value !== 0
        ? `write ${quote(word)} if its number in the vocabulary is meant`
        : 'write how the two objects relate, such as "standing on"',
  });
  return undefined;
}

/** How many entries a list is to have, and what each belongs to. */
type Entries = { readonly count: number; readonly owner: string };

/** An optional list with one entry per object or relation. */
function readExtra<T>(
  record: Record<string, unknown>,
  key: 'ids' | 'boxes' | 'weights' | 'relationshipWeights',
  { count: entries, owner }: Entries,
  path: IssuePath,
  issues: IssueList,
  read: (list: readonly unknown[], path: IssuePath, issues: IssueList) => T,
): T | undefined {
  const list = own(record, key);
  if (list === undefined || issues.full) return undefined;
  const at = [...path, key];
  if (!Array.isArray(list)) {
    issues.add('wrong_type', at, {
      expected: `a list with one entry per ${owner}`,
      received: describeValue(list),
      hint: `write one entry per ${owner}, or leave ${quote(key)} out`,
    });
    return undefined;
  }
  if (list.length !== entries) {
    issues.add('wrong_length', at, {
      expected: `${entries} entries, one per ${owner}`,
      received: String(list.length),
      hint: `write one entry per ${owner}, or leave ${quote(key)} out`,
    });
    return undefined;
  }
  return read(list, at, issues);
}

function readIds(list: readonly unknown[], path: IssuePath, issues: IssueList): string[] {
  const firstPlace = new Map<string, number>();
  const ids: string[] = [];
  for (let i = 0; i < list.length && !issues.full; i++) {
    const id = list[i];
    if (typeof id !== 'string' || id === '') {
      issues.add('wrong_type', [...path, i], {
        expected: 'a name that is not empty',
        received: describeValue(id),
        hint: 'write the id as text, such as "sheep-2"',
      });
      continue;
    }
    const first = firstPlace.get(id);
    if (first !== undefined) {
      issues.add('duplicate_id', [...path, i], {
        expected: 'an id that no other object has',
        received: `${quote(id)}, which is also at ${first}`,
        hint: 'give each object an id of its own',
      });
    }
    firstPlace.set(id, i);
    ids.push(id);
  }
  return ids;
}

function readBoxes(list: readonly unknown[], path: IssuePath, issues: IssueList): (Box | null)[] {
  const boxes: (Box | null)[] = [];
  for (let i = 0; i < list.length && !issues.full; i++) boxes.push(readBox(list[i], [...path, i], issues));
  return boxes;
}

function readBox(value: unknown, path: IssuePath, issues: IssueList): Box | null {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length !== 4) {
    issues.add('wrong_shape', path, {
      expected: 'a box [x0, y0, x1, y1] or null',
      received: describeValue(value),
      hint: 'write the left, top, right and bottom edge, or null where the place does not matter',
    });
    return null;
  }
  const edges: number[] = [];
  for (let k = 0; k < 4; k++) {
    const edge: unknown = value[k];
    if (typeof edge === 'number' && edge >= 0 && edge <= 1) edges.push(edge + 0);
    else {
      issues.add('wrong_box', [...path, k], {
        expected: 'an edge from 0 to 1',
        received: describeValue(edge),
        hint: 'divide pixels by the width or height of the picture',
      });
    }
  }
  if (edges.length < 4) return null;
  const [x0, y0, x1, y1] = edges as [number, number, number, number];
  if (x0 >= x1 || y0 >= y1) {
    issues.add('wrong_box', path, {
      expected: 'x0 < x1 and y0 < y1',
      received: `[${[x0, y0, x1, y1].join(', ')}]`,
      hint: 'write [x0, y0, x1, y1] with the left top corner first, not a corner with width and height',
    });
  }
  return [x0, y0, x1, y1];
}

function readWeights(list: readonly unknown[], path: IssuePath, issues: IssueList): number[] {
  const weights: number[] = [];
  for (let i = 0; i < list.length && !issues.full; i++) {
    const weight = list[i];
    if (typeof weight === 'number' && weight >= 0 && weight < Infinity) weights.push(weight + 0);
    else {
      issues.add('wrong_weight', [...path, i], {
        expected: 'a finite number of at least 0',
        received: describeValue(weight),
        hint: 'write 1 for the usual weight',
      });
    }
  }
  return weights;
}

function readNegative(
  record: Record<string, unknown>,
  path: IssuePath,
  issues: IssueList,
  options: ParseOptions,
): SceneGraph | undefined {
  const value = own(record, 'negative');
  if (value === undefined || issues.full) return undefined;
  const at = [...path, 'negative'];
  if (path.at(-1) === 'negative') {
    issues.add('nested_negative', at, {
      expected: 'no negative graph in a negative graph',
      received: describeValue(value),
      hint: 'move its content into the graph itself',
    });
    return undefined;
  }
  return readGraph(value, at, issues, options);
}

/** A key of the record itself: `undefined` for what its prototype has. */
function own(record: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function defined<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}

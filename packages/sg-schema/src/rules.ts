import type { IssueList, IssuePath } from './issues';
import type { SceneGraph, Triple, Vocabulary } from './types';

import { count, formatPath, quote } from './issues';
import { nearestWords } from './nearest';
import { GAP_WORD, IMAGE_OBJECT, IN_IMAGE_PREDICATE } from './vocabulary';

/** Whether a relation may tie an object to itself. */
export type SelfRelations = 'error' | 'allow';

/** Checks an object word: not empty, not reserved, and known where a vocabulary is given. */
export function checkObjectWord(issues: IssueList, path: IssuePath, word: string, vocabulary?: Vocabulary): void {
  if (!checkPlainWord(issues, path, word, 'object')) return;
  if (vocabulary !== undefined && vocabulary.objectIndex(word) === undefined) {
    issues.add('unknown_object', path, {
      expected: `one of the ${knownWords(vocabulary.objects).length} known objects`,
      received: quote(word),
      hint: suggestion(word, knownWords(vocabulary.objects)),
    });
  }
}

/** Checks a predicate word: not empty, not reserved, and known where a vocabulary is given. */
export function checkPredicateWord(issues: IssueList, path: IssuePath, word: string, vocabulary?: Vocabulary): void {
  if (!checkPlainWord(issues, path, word, 'predicate')) return;
  if (vocabulary !== undefined && vocabulary.predicateIndex(word) === undefined) {
    issues.add('unknown_predicate', path, {
      expected: `one of the ${knownWords(vocabulary.predicates).length} known predicates`,
      received: quote(word),
      hint: suggestion(word, knownWords(vocabulary.predicates)),
    });
  }
}

/** Reports a position that no object has. `path` leads to the number. */
export function addOutOfRange(issues: IssueList, path: IssuePath, position: number, objectCount: number): void {
  issues.add('index_out_of_range', path, {
    expected: positionRange(objectCount),
    received: String(position),
    hint: 'correct the position or add the object that it should point to',
  });
}

/** `the position of an object, 0 to 4`. */
export function positionRange(objectCount: number): string {
  if (objectCount === 0) return 'no position, as there are no objects';
  return `the position of an object, ${objectCount === 1 ? 'which is 0' : `0 to ${objectCount - 1}`}`;
}

/** Reports a relation of an object with itself. `path` leads to the relation. */
export function addSelfRelation(issues: IssueList, path: IssuePath, word: string, hint: string): void {
  issues.add('self_relation', path, {
    expected: 'a relation between two objects',
    received: `one of ${quote(word)} with itself`,
    hint,
  });
}

/** Reports more objects than fit; `true` where there are too many. */
export function checkObjectCount(issues: IssueList, path: IssuePath, objectCount: number, maxObjects: number): boolean {
  if (objectCount <= maxObjects) return false;
  issues.add('too_many_objects', path, {
    expected: `at most ${count(maxObjects, 'object')}`,
    received: String(objectCount),
    hint: `remove ${objectCount - maxObjects}`,
  });
  return true;
}

/**
 * The triples that an encoder of `maxTriples` has no room for. Relations come first and then one `__in_image__` per object, so the
 * latter are the first to fall.
 */
export function excessTriples(graph: SceneGraph, maxTriples: number): Triple[] {
  const objectCount = graph.objects.length;
  const relations = graph.relationships.slice(maxTriples);
  const dummiesThatFit = Math.max(0, maxTriples - graph.relationships.length);
  const dummies: Triple[] = [];
  for (let i = dummiesThatFit; i < objectCount; i++) dummies.push([i, IN_IMAGE_PREDICATE, objectCount]);
  return [...relations, ...dummies];
}

/** Reports more triples than the encoder takes, by name. */
export function checkTripleCount(
  issues: IssueList,
  path: IssuePath,
  graph: SceneGraph,
  maxTriples: number,
  otherWay = '',
): void {
  const total = graph.relationships.length + graph.objects.length;
  if (total <= maxTriples) return;
  const named: string[] = [];
  const { objects, relationships } = graph;
  for (let i = maxTriples; i < relationships.length && named.length < NAMED_TRIPLES; i++) {
    const [subject, predicate, object] = relationships[i]!;
    const words = `${objects[subject] ?? subject} ${predicate} ${objects[object] ?? object}`;
    named.push(`${formatPath([...path, 'relationships', i])} ${quote(words)}`);
  }
  const firstDummy = Math.max(0, maxTriples - relationships.length);
  for (let i = firstDummy; i < objects.length && named.length < NAMED_TRIPLES; i++) {
    named.push(`the ${IN_IMAGE_PREDICATE} triple of ${formatPath([...path, 'objects', i])} ${quote(objects[i]!)}`);
  }
  const excess = total - maxTriples;
  const rest = excess > named.length ? ` and ${excess - named.length} more` : '';
  issues.add('too_many_triples', [...path, 'relationships'], {
    expected: `at most ${count(maxTriples, 'triple')}`,
    received:
      `${total} (${count(relationships.length, 'relation')} and ${count(objects.length, 'object')}, ` +
      `each of which takes one ${IN_IMAGE_PREDICATE} triple)`,
    hint: `remove relations or objects${otherWay}: there is no room for ${named.join(', ')}${rest}`,
  });
}

const NAMED_TRIPLES = 20;

function checkPlainWord(issues: IssueList, path: IssuePath, word: string, kind: 'object' | 'predicate'): boolean {
  if (issues.full) return false; // No suggestions are sought for what would not be listed.
  if (word.trim() === '') {
    issues.add('empty_word', path, {
      expected: `the word of ${kind === 'object' ? 'an object' : 'a predicate'}`,
      received: quote(word),
      hint: kind === 'object' ? 'write what the object is' : 'write how the two objects relate',
    });
    return false;
  }
  if (word === IMAGE_OBJECT || word === IN_IMAGE_PREDICATE) {
    issues.add('reserved_word', path, {
      expected: `the word of ${kind === 'object' ? 'an object' : 'a predicate'}`,
      received: `the reserved ${quote(word)}`,
      hint: `leave ${IMAGE_OBJECT} and its ${IN_IMAGE_PREDICATE} relations out, they are added when the graph is packed`,
    });
    return false;
  }
  return true;
}

function knownWords(words: readonly string[]): readonly string[] {
  return words.filter((word) => word !== IMAGE_OBJECT && word !== IN_IMAGE_PREDICATE && word !== GAP_WORD);
}

function suggestion(word: string, words: readonly string[]): string {
  const near = nearestWords(word, words);
  if (near.length > 0) return `perhaps ${listOr(near.map(quote))} is meant`;
  const some = words.slice(0, LISTED_WORDS).join(', ');
  return `no known word is near it, use one of: ${some}${words.length > LISTED_WORDS ? ', …' : ''}`;
}

const LISTED_WORDS = 40;

function listOr(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

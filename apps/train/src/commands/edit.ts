import {
  addObject,
  parseSceneGraph,
  relate,
  removeObject,
  renameObject,
  renameRelation,
  safeParseSceneText,
  sceneText,
  unrelate,
  type ParseResult,
  type SceneGraph,
  type Triple,
  type Vocabulary,
} from '@sgdiff/sg-schema';
import { CliError } from '../errors';
import { naming } from './generate';

/** The forms of a change, for help and errors. */
export const CHANGE_FORMS =
  '"sheep -> zebra", "sheep left of tree -> right of", "+ tree behind sheep", "- boat" or "- sheep left of tree"';

/**
 * The graph after one change after the other.
 *
 * @throws CliError for a change that cannot be made, and for a graph without objects or with more triples than the model takes.
 */
export function applyChanges(
  graph: SceneGraph,
  changes: readonly string[],
  vocabulary: Vocabulary,
  maxTriples: number,
): SceneGraph {
  const changed = changes.reduce((before, change) => applyChange(before, change, vocabulary), graph);
  if (changed.objects.length === 0) {
    const made = changes.map((change) => `"${change}"`).join(' ');
    throw new CliError(
      `--change ${made}: expected an object to be left, received a graph without any. Keep one, or add one, such as --change "+ sheep".`,
    );
  }
  // Words that the model does not know are left to the pipeline: it says if the picture is of another model.
  return naming('The changed graph', () => parseSceneGraph(changed, { maxTriples }));
}

/**
 * A change of a graph in words:
 * - `sheep -> zebra` renames (every sheep; `sheep 2 -> zebra` the second one),
 * - `sheep left of tree -> right of` makes a relation another one,
 * - `+ tree behind sheep` adds a relation, and its words where the graph has none of them yet,
 * - `- boat` removes an object and its relations, `- sheep left of tree` that relation alone.
 *
 * @throws CliError for words that are not in the graph or that the model does not know, SceneGraphError for what cannot be done.
 */
export function applyChange(graph: SceneGraph, change: string, vocabulary: Vocabulary): SceneGraph {
  const text = change.trim();
  const becomes = /^(.+?)\s*->\s*(.+)$/.exec(text);
  if (becomes) {
    const [, from, to] = becomes;
    const relations = relationsOf(graph, from, vocabulary);
    if (relations) return changeRelations(graph, relations, change, to, vocabulary);
    if (vocabulary.objectIndex(to) === undefined) {
      // The parser's message suggests the nearest words.
      requireParsed(change, safeParseSceneText(quoted(to), { vocabulary }));
    }
    return positionsOf(graph, from).reduce((changed, position) => renameObject(changed, position, to), graph);
  }
  if (/^-\s*\S/.test(text)) {
    const name = text.slice(1).trim();
    const relations = relationsOf(graph, name, vocabulary);
    if (relations) return relations.reduceRight((changed, position) => unrelate(changed, position), graph);
    return positionsOf(graph, name).reduceRight((changed, position) => removeObject(changed, position), graph);
  }
  if (/^\+\s*\S/.test(text)) {
    return addWords(graph, change, text.slice(1).trim(), vocabulary);
  }
  throw new CliError(`Cannot read the change "${change}". Write ${CHANGE_FORMS}.`);
}

/** Positions of the relation that the words name; undefined if they name none, but an object. */
function relationsOf(graph: SceneGraph, words: string, vocabulary: Vocabulary): number[] | undefined {
  const result = parseBeside(graph, words, vocabulary);
  if (!result.ok || result.graph.relationships.length === 0) return undefined;
  const [[subject, predicate, object], ...more] = result.graph.relationships;
  const found = graph.relationships.flatMap(([s, p, o], position) =>
    s === subject && p === predicate && o === object ? [position] : [],
  );
  if (found.length === 0 || more.length > 0) {
    const has = graph.relationships.length === 0 ? 'It has none.' : `It has: ${sceneText(graph)}.`;
    throw new CliError(
      more.length > 0
        ? `"${words}" are several relations. Change one at a time.`
        : `The graph has no relation "${words}". ${has}`,
    );
  }
  return found;
}

/** The relations as `right of` or `sheep right of tree` has it. */
function changeRelations(
  graph: SceneGraph,
  positions: readonly number[],
  change: string,
  to: string,
  vocabulary: Vocabulary,
): SceneGraph {
  const [subject, , object] = graph.relationships[positions[0]];
  const clause = parseBeside(graph, to, vocabulary);
  if (clause.ok && clause.graph.relationships.length > 0) {
    const [[s, predicate, o], ...more] = clause.graph.relationships;
    const isAll = more.length === 0 && clause.graph.objects.length === graph.objects.length;
    if (isAll && s === subject && o === object) return renameRelations(graph, positions, change, predicate);
    for (const triple of clause.graph.relationships) requireNew(graph, othersThan(positions, graph), triple, change);
    const without = positions.reduceRight((changed, position) => unrelate(changed, position), graph);
    return addWords(without, change, to, vocabulary);
  }
  const names = namesOf(graph);
  const whole = requireParsed(change, parseBeside(graph, `${names[subject]} ${to} ${names[object]}`, vocabulary));
  return renameRelations(graph, positions, change, whole.relationships[0][1]);
}

function renameRelations(
  graph: SceneGraph,
  positions: readonly number[],
  change: string,
  predicate: string,
): SceneGraph {
  const [subject, , object] = graph.relationships[positions[0]];
  requireNew(graph, othersThan(positions, graph), [subject, predicate, object], change);
  return positions.reduce((changed, position) => renameRelation(changed, position, predicate), graph);
}

function othersThan(positions: readonly number[], { relationships }: SceneGraph): Triple[] {
  return relationships.filter((_, position) => !positions.includes(position));
}

/** Positions of `sheep` (all of them) or `sheep 2` (the second). */
function positionsOf(graph: SceneGraph, name: string): number[] {
  const numbered = graph.objects.includes(name) ? null : /^(.+?)\s+(\d+)$/.exec(name);
  const word = numbered ? numbered[1] : name;
  const all = graph.objects.flatMap((object, position) => (object === word ? [position] : []));
  const found = numbered ? all.slice(Number(numbered[2]) - 1, Number(numbered[2])) : all;
  if (found.length === 0) {
    throw new CliError(`The graph has no "${name}". It has: ${graph.objects.join(', ')}.`);
  }
  return found;
}

/** As one word of the text form, whatever is in it. */
function quoted(word: string): string {
  return `"${word.replace(/["\\]/g, '\\$&')}"`;
}

/** Adds relations and objects; words and numbers mean the objects that are there, as far as there are any. */
function addWords(graph: SceneGraph, change: string, words: string, vocabulary: Vocabulary): SceneGraph {
  const together = requireParsed(change, parseBeside(graph, words, vocabulary));
  const more = together.objects.slice(graph.objects.length);
  if (more.length === 0 && together.relationships.length === 0) {
    throw new CliError(
      `The change "${change}": expected something that the graph lacks, received what it has: ${graph.objects.join(', ')}. ` +
        'For another of a kind write the next number, such as "+ tree 2" for a second tree.',
    );
  }
  const grown = more.reduce((changed, word) => addObject(changed, word), graph);
  return together.relationships.reduce((changed, triple) => {
    requireNew(changed, changed.relationships, triple, change);
    return relate(changed, ...triple);
  }, grown);
}

/** A relation that was there twice would count twice as much, which nobody asked for who only says what the picture shows. */
function requireNew(
  graph: SceneGraph,
  relations: readonly Triple[],
  [subject, predicate, object]: Triple,
  change: string,
): void {
  if (!relations.some(([s, p, o]) => s === subject && p === predicate && o === object)) return;
  const names = namesOf(graph, (word) => word);
  throw new CliError(
    `The change "${change}": expected a relation that the graph lacks, received "${names[subject]} ${predicate} ${names[object]}". ` +
      `It has: ${sceneText(graph)}.`,
  );
}

/** The words as a graph that has first the objects of the one given, so that equal words have the same numbers in both. */
function parseBeside(graph: SceneGraph, words: string, vocabulary: Vocabulary): ParseResult {
  return safeParseSceneText([...namesOf(graph), words].join('; '), { vocabulary });
}

/** Each object as the text form names it: `"sheep"`, `"sheep" 2`. */
function namesOf({ objects }: SceneGraph, written = quoted): string[] {
  const seen = new Map<string, number>();
  return objects.map((word) => {
    const number = (seen.get(word) ?? 0) + 1;
    seen.set(word, number);
    return number === 1 ? written(word) : `${written(word)} ${number}`;
  });
}

function requireParsed(change: string, result: ParseResult): SceneGraph {
  if (result.ok) return result.graph;
  const [{ expected, received, hint }] = result.issues;
  throw new CliError(`The change "${change}": expected ${expected}, received ${received}; ${hint}.`);
}

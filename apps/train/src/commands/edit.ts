import { addObject, relate, removeObject, renameObject, safeParseSceneText, type SceneGraph, type Vocabulary } from '@sgdiff/sg-schema';
import { CliError } from '../errors';

/**
 * A change of a graph in words:
 * - `sheep -> zebra` renames (every sheep; `sheep 2 -> zebra` the second one),
 * - `+ tree behind sheep` adds a relation, and its words where the graph has none of them yet,
 * - `- boat` removes an object and its relations.
 *
 * @throws CliError for words that are not in the graph or that the model does not know, SceneGraphError for what cannot be done.
 */
export function applyChange(graph: SceneGraph, change: string, vocabulary: Vocabulary): SceneGraph {
  const text = change.trim();
  const rename = /^(.+?)\s*->\s*(.+)$/.exec(text);
  if (rename) {
    const [, from, to] = rename;
    if (vocabulary.objectIndex(to) === undefined) {
      // The parser's message suggests the nearest words.
      parseWords(change, quoted(to), vocabulary);
    }
    return positionsOf(graph, from).reduce((changed, position) => renameObject(changed, position, to), graph);
  }
  if (/^-\s*\S/.test(text)) {
    const positions = positionsOf(graph, text.slice(1).trim());
    return [...positions].reverse().reduce((changed, position) => removeObject(changed, position), graph);
  }
  if (/^\+\s*\S/.test(text)) {
    return addWords(graph, change, text.slice(1).trim(), vocabulary);
  }
  throw new CliError(`Cannot read the change "${change}". Write "sheep -> zebra", "+ tree behind sheep" or "- boat".`);
}

/** Positions of `sheep` (all of them) or `sheep 2` (the second). */
function positionsOf(graph: SceneGraph, name: string): number[] {
  const numbered = /^(.+?)\s+(\d+)$/.exec(name);
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
  const seen = new Map<string, number>();
  const there = graph.objects.map((word) => {
    const place = (seen.get(word) ?? 0) + 1;
    seen.set(word, place);
    return place === 1 ? quoted(word) : `${quoted(word)} ${place}`;
  });
  // With those there named first, the parser's numbering of equal words is that of the graph.
  const together = parseWords(change, [...there, words].join('; '), vocabulary);
  const grown = together.objects.slice(there.length).reduce((changed, word) => addObject(changed, word), graph);
  return together.relationships.reduce((changed, [subject, predicate, object]) => relate(changed, subject, predicate, object), grown);
}

function parseWords(change: string, words: string, vocabulary: Vocabulary): SceneGraph {
  const result = safeParseSceneText(words, { vocabulary });
  if (result.ok) return result.graph;
  const [{ expected, received, hint }] = result.issues;
  throw new CliError(`The change "${change}": expected ${expected}, received ${received}; ${hint}.`);
}

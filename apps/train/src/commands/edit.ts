import { addObject, parseSceneText, relate, removeObject, renameObject, type SceneGraph, type Vocabulary } from '@sgdiff/sg-schema';
import { CliError } from '../errors';
import { naming } from './generate';

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
      naming(`The change "${change}"`, () => parseSceneText(quoted(to), { vocabulary }));
    }
    return positionsOf(graph, from).reduce((changed, position) => renameObject(changed, position, to), graph);
  }
  if (text.startsWith('-')) {
    const positions = positionsOf(graph, text.slice(1).trim());
    return [...positions].reverse().reduce((changed, position) => removeObject(changed, position), graph);
  }
  if (text.startsWith('+')) {
    const words = text.slice(1).trim();
    return addRelations(graph, naming(`The change "${change}"`, () => parseSceneText(words, { vocabulary })));
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

/** Relations of `added` put into `graph`; the first object of the same word is meant, new words become new objects. */
function addRelations(graph: SceneGraph, added: SceneGraph): SceneGraph {
  let changed = graph;
  const used = new Set<number>();
  const positions = added.objects.map((word) => {
    const there = changed.objects.findIndex((object, position) => object === word && !used.has(position));
    const position = there >= 0 ? there : changed.objects.length;
    if (there < 0) changed = addObject(changed, word);
    used.add(position);
    return position;
  });
  for (const [subject, predicate, object] of added.relationships) {
    changed = relate(changed, positions[subject], predicate, positions[object]);
  }
  return changed;
}

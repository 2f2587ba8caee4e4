import type { SceneGraph } from './types';

export type DotOptions = {
  /** Caption above the drawing. */
  readonly title?: string;
};

/**
 * A graph in Graphviz's DOT language: a node per object, a labelled edge per relation. Any word is safe in it.
 *
 * @see https://graphviz.org/doc/info/lang.html
 */
export function toDot(graph: SceneGraph, { title }: DotOptions = {}): string {
  return [
    'digraph {',
    ...(title === undefined ? [] : [`  label=${dotString(title)};`, '  labelloc=t;']),
    '  node [shape=box, style=rounded];',
    ...graph.objects.map((word, i) => `  n${i} [label=${dotString(word)}];`),
    ...graph.relationships.map(
      ([subject, predicate, object]) => `  n${subject} -> n${object} [label=${dotString(predicate)}];`,
    ),
    '}',
    '',
  ].join('\n');
}

/** In labels Graphviz gives a meaning to backslashes (`\N` is the node's name) and to HTML entities, and ends at NUL. */
function dotString(text: string): string {
  const escaped = text
    .replaceAll('&', '&amp;')
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll(/\r\n|\r|\n/g, '\\n')
    .replaceAll('\0', '\ufffd');
  return `"${escaped}"`;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { graphAndVocabulary } from '../test/arbitraries';
import { toDot } from './dot';

describe('toDot', () => {
  it('draws a node per object and a labelled edge per relation', () => {
    const graph = { objects: ['sheep', 'grass'], relationships: [[0, 'standing on', 1]] as const };
    expect(toDot(graph, { title: 'figure 6' })).toBe(
      [
        'digraph {',
        '  label="figure 6";',
        '  labelloc=t;',
        '  node [shape=box, style=rounded];',
        '  n0 [label="sheep"];',
        '  n1 [label="grass"];',
        '  n0 -> n1 [label="standing on"];',
        '}',
        '',
      ].join('\n'),
    );
  });

  it('escapes what Graphviz would read as something else', () => {
    const dot = toDot({ objects: ['5" \\N & <b>\r\n&lt;\0'], relationships: [] });
    expect(dot).toContain(String.raw`n0 [label="5\" \\N &amp; <b>\n&amp;lt;` + '\ufffd"];');
  });

  it('keeps every string closed and on one line, whatever the words', () => {
    const line = /^ {2}(?:n\d+|n\d+ -> n\d+) \[label="(?:[^"\\\n\r\0]|\\["\\n])*"\];$/;
    fc.assert(
      fc.property(graphAndVocabulary(), ({ graph }) => {
        const lines = toDot(graph).split('\n').slice(2, -2);
        expect(lines.length).toBe(graph.objects.length + graph.relationships.length);
        for (const text of lines) expect(text).toMatch(line);
      }),
    );
  });
});

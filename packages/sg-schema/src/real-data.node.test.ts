// Graphs and words that other people made; see the README of the folder for their origin and licence.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import type { SceneGraph } from './types';

import { packGraphs } from './pack';
import { parseSceneGraphs, safeParseSceneGraphs } from './parse';
import { sceneGraphToJson } from './scene-graph-json';
import { parseSceneText, sceneText } from './text';
import { createVocabulary, parseVocabulary, vocabularyToJson } from './vocabulary';

const folder = ['../../../shared/data/', '../../../../shared/data/']
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(url));
const read = (path: string): string => readFileSync(new URL(path, folder), 'utf8');
const readVocabulary = () => parseVocabulary(read('visual-genome/vocab.json'));

const files = ['figure_5_coco.json', 'figure_5_vg.json', 'figure_6_sheep.json'];
const allow = { selfRelations: 'allow' } as const;

describe('the graphs of sg2im', () => {
  it.skipIf(folder === undefined).each(files)(
    '%s is read and written as it is (skipped without the folder shared/data)',
    (file) => {
      const text = read(`scene-graphs/sg2im/${file}`);
      const graphs = parseSceneGraphs(text, allow);
      expect(graphs.map(sceneGraphToJson)).toEqual(JSON.parse(text));
    },
  );

  it.skipIf(folder === undefined)(
    'of Visual Genome use words of its vocabulary, fit 20 triples, and survive the text form (skipped without shared/data)',
    () => {
      const vocabulary = readVocabulary();
      const graphs = ['figure_5_vg.json', 'figure_6_sheep.json'].flatMap((file) =>
        parseSceneGraphs(read(`scene-graphs/sg2im/${file}`), { vocabulary, maxTriples: 20, ...allow }),
      );
      expect(graphs.length).toBe(15);
      const packed = packGraphs(graphs, vocabulary, { maxTriples: 20 });
      expect([packed.batch, packed.dropped.length]).toEqual([15, 0]);
      for (const graph of graphs) {
        const text = sceneText(graph, { vocabulary });
        expect(text).not.toContain('"');
        expect(parseSceneText(text, { vocabulary, ...allow })).toEqual(graph);
      }
    },
  );

  it.skipIf(folder === undefined)('of figure 6 read well (skipped without shared/data)', () => {
    const graphs = parseSceneGraphs(read('scene-graphs/sg2im/figure_6_sheep.json'), { vocabulary: readVocabulary() });
    expect(graphs.length).toBe(7);
    expect(sceneText(graphs[5]!)).toBe(
      'sky above grass; sheep standing on grass; sheep 2 by sheep; tree behind sheep; ocean by tree; boat in ocean',
    );
  });

  it.skipIf(folder === undefined)(
    'of figure 5 hold relations of an object with itself and repeated ones (skipped without shared/data)',
    () => {
      const result = safeParseSceneGraphs(read('scene-graphs/sg2im/figure_5_vg.json'));
      expect(result.ok || result.issues.map(({ path }) => path)).toEqual(
        [0, 1, 2, 3].map((i) => [3, 'relationships', i]),
      );
      expect(result.ok || result.issues[0]!.message).toBe(
        '[3].relationships[0]: expected a relation between two objects, received one of "building" with itself; ' +
          'correct a position, or add a second "building" to objects.',
      );
      const coco = parseSceneGraphs(read('scene-graphs/sg2im/figure_5_coco.json'));
      expect(repeated(coco[1]!)).toBe(1);
    },
  );
});

function repeated({ relationships }: SceneGraph): number {
  return relationships.length - new Set(relationships.map((triple) => JSON.stringify(triple))).size;
}

describe('the vocabularies', () => {
  it.skipIf(folder === undefined)(
    'of Visual Genome has 179 objects and 46 predicates (skipped without shared/data)',
    () => {
      const vocabulary = readVocabulary();
      expect([vocabulary.objects.length, vocabulary.predicates.length]).toEqual([179, 46]);
      expect(vocabulary.objects.slice(0, 4)).toEqual(['__image__', 'window', 'tree', 'man']);
      expect(vocabulary.predicates.slice(0, 4)).toEqual(['__in_image__', 'on', 'next to', 'has']);
      expect(vocabulary.objectIndex('tie')).toBe(178);
      expect(vocabulary.predicateIndex('looking at')).toBe(45);
      expect(JSON.parse(read('visual-genome/vocab.json'))).toMatchObject(vocabularyToJson(vocabulary));
    },
  );

  it.skipIf(folder === undefined)('of COCO covers its graphs (skipped without shared/data)', () => {
    const words = [...read('coco-stuff/labels.txt').matchAll(/^\d+: (.+)$/gm)].map((match) => match[1]!);
    const relations = ['left of', 'right of', 'above', 'below', 'inside', 'surrounding'];
    const vocabulary = createVocabulary(
      [...new Set(words)].filter((word) => word !== 'unlabeled'),
      relations,
    );
    const result = safeParseSceneGraphs(read('scene-graphs/sg2im/figure_5_coco.json'), { vocabulary });
    expect(result.ok || result.issues.map(({ message }) => message)).toBe(true);
  });
});

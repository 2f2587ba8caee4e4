import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { deepFreeze, graphAndVocabulary } from '../test/arbitraries';
import { parseSceneGraph, parseSceneGraphs } from './parse';
import { sceneGraphToJson } from './scene-graph-json';

describe('sceneGraphToJson', () => {
  it('is undone by parseSceneGraph, with all extras', () => {
    fc.assert(
      fc.property(graphAndVocabulary(undefined, { extras: true }), ({ graph, vocabulary }) => {
        const json = sceneGraphToJson(deepFreeze(graph));
        expect(parseSceneGraph(json, { vocabulary })).toEqual(graph);
        expect(parseSceneGraph(JSON.stringify(json))).toEqual(graph);
        expect(parseSceneGraphs(JSON.stringify([json, json]))).toEqual([graph, graph]);
      }),
    );
  });

  it('writes only the two keys of sg2im where there is nothing else', () => {
    const graph = { objects: ['sheep', 'grass'], relationships: [[0, 'on', 1]] as const };
    expect(JSON.stringify(sceneGraphToJson(graph))).toBe('{"objects":["sheep","grass"],"relationships":[[0,"on",1]]}');
  });

  it('shares no list with the graph', () => {
    const graph = { objects: ['sheep'], relationships: [], boxes: [[0, 0, 1, 1]] as const };
    const json = sceneGraphToJson(graph);
    json.objects.push('grass');
    json.boxes![0]![0] = 0.5;
    expect(graph).toEqual({ objects: ['sheep'], relationships: [], boxes: [[0, 0, 1, 1]] });
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SceneGraph } from '@sgdiff/sg-schema';
import { layoutGraph, overlapArea, type Place } from './graph-layout';
import { SERIES } from './series';

const PREDICATES = ['above', 'below', 'by', 'left of', 'right of', 'standing on', 'behind', 'in front of', 'in'];

const anyGraph = fc
  .record({
    objects: fc.array(fc.constantFrom('sky', 'grass', 'sheep', 'elephant'), { minLength: 1, maxLength: 8 }),
    seeds: fc.array(fc.tuple(fc.nat(), fc.constantFrom(...PREDICATES), fc.nat()), { maxLength: 12 }),
  })
  .map(({ objects, seeds }): SceneGraph => ({
    objects,
    relationships: seeds.map(([s, predicate, o]) => [s % objects.length, predicate, o % objects.length] as const),
  }));

function overlaps(places: readonly Place[]): (readonly [Place, Place])[] {
  return places
    .flatMap((a, i) => places.slice(i + 1).map((b) => [a, b] as const))
    .filter(([a, b]) => overlapArea(a, b) > 0);
}

describe('layoutGraph', () => {
  it('puts what is above or on something higher, and what is by something level with it', () => {
    const { nodes } = layoutGraph({
      objects: ['sky', 'grass', 'sheep', 'sheep'],
      relationships: [
        [0, 'above', 1],
        [2, 'standing on', 1],
        [3, 'by', 2],
      ],
    });
    const [sky, grass, sheep, sheep2] = nodes;
    expect(nodes.map(({ name }) => name)).toEqual(['sky', 'grass', 'sheep', 'sheep 2']);
    expect(sky!.y).toBeLessThan(grass!.y);
    expect(sheep!.y).toBeLessThan(grass!.y);
    expect(sheep2!.y).toBe(sheep!.y);
  });

  it('puts what is left of something left of it', () => {
    const { nodes } = layoutGraph({
      objects: ['tree', 'house', 'car'],
      relationships: [
        [0, 'right of', 1],
        [2, 'left of', 1],
      ],
    });
    expect(nodes[2]!.x).toBeLessThan(nodes[1]!.x);
    expect(nodes[1]!.x).toBeLessThan(nodes[0]!.x);
  });

  it.each(SERIES.map((graph, i) => [i + 1, graph] as const))(
    'covers nothing in graph %i of the series, and fits a phone',
    (_, graph) => {
      const { nodes, edges, width } = layoutGraph(graph);
      expect(overlaps([...nodes, ...edges.map(({ label }) => label)])).toEqual([]);
      expect(width).toBeLessThan(420);
    },
  );

  it('never lets two nodes cover each other, keeps all inside, and draws each pair once per direction', () => {
    fc.assert(
      fc.property(anyGraph, (graph) => {
        const { nodes, edges, width, height } = layoutGraph(graph);
        expect(overlaps(nodes)).toEqual([]);
        const outside = nodes.filter(
          (node) =>
            node.x < node.width / 2 ||
            node.x + node.width / 2 > width ||
            node.y < node.height / 2 ||
            node.y + node.height / 2 > height,
        );
        expect(outside).toEqual([]);
        const pairs = graph.relationships.filter(([s, , o]) => s !== o).map(([s, , o]) => `${s} ${o}`);
        expect(edges.map(({ subject, object }) => `${subject} ${object}`).sort()).toEqual([...new Set(pairs)].sort());
        expect(edges.map(({ path }) => path).join()).not.toMatch(/NaN|undefined|Infinity/);
      }),
      { numRuns: 60 },
    );
  });

  it('takes graphs that go round in a circle', () => {
    const { nodes } = layoutGraph({
      objects: ['cat', 'dog', 'bird'],
      relationships: [
        [0, 'above', 1],
        [1, 'above', 2],
        [2, 'above', 0],
      ],
    });
    expect(nodes).toHaveLength(3);
  });

  it('joins the relations of a pair in one label', () => {
    const { edges } = layoutGraph({
      objects: ['boat', 'ocean'],
      relationships: [
        [0, 'in', 1],
        [0, 'above', 1],
      ],
    });
    expect(edges.map(({ text }) => text)).toEqual(['in, above']);
  });
});

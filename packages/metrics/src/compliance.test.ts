import type { Box, SceneGraph } from '@sgdiff/sg-schema';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compliance, complianceReport, derangement, scoreCompliance, type RelationRule } from './compliance';
import type { Detection } from './detection';

const found = (category: string, x: number): Detection => ({ category, score: 0.9, box: [x, 0, x + 0.1, 1] as Box });
/** A rule small enough to follow by eye. */
const leftOf: RelationRule = (predicate, a, b) => (predicate === 'left of' ? a.box[0] < b.box[0] : a.box[0] > b.box[0]);

const sheepTree: SceneGraph = {
  objects: ['sheep', 'sheep', 'tree'],
  relationships: [
    [0, 'left of', 1],
    [1, 'left of', 2],
  ],
};

const categories = ['sheep', 'tree', 'boat'];
const detections = fc
  .array(fc.tuple(fc.constantFrom(...categories), fc.integer({ min: 0, max: 9 })), { maxLength: 6 })
  .map((list) => list.map(([category, x]) => found(category, x / 10)));
const graphs = fc.array(fc.constantFrom(...categories), { minLength: 2, maxLength: 5 }).chain((objects) =>
  fc
    .array(fc.tuple(fc.nat(objects.length - 1), fc.constantFrom('left of', 'right of'), fc.nat(objects.length - 1)), {
      maxLength: 4,
    })
    .map((triples): SceneGraph => ({ objects, relationships: triples.filter(([s, , o]) => s !== o) })),
);

describe('compliance', () => {
  it('wants one detection for each of two equal nodes', () => {
    const one = compliance(sheepTree, [found('sheep', 0), found('tree', 0.5)], leftOf);
    expect(one).toEqual({ entities: [true, false, true], relations: [false, true] });
    const two = compliance(sheepTree, [found('sheep', 0.3), found('sheep', 0), found('tree', 0.5)], leftOf);
    expect(two).toEqual({ entities: [true, true, true], relations: [true, true] });
  });

  it('never relates a detection to itself', () => {
    const always: RelationRule = () => true;
    expect(compliance(sheepTree, [found('sheep', 0)], always).relations).toEqual([false, false]);
  });

  it('finds nothing in an empty picture', () => {
    expect(compliance(sheepTree, [], leftOf)).toEqual({ entities: [false, false, false], relations: [false, false] });
  });

  it('does not depend on the order of the detections, and more detections never lower it', () => {
    fc.assert(
      fc.property(graphs, detections, detections, (graph, some, more) => {
        const base = compliance(graph, some, leftOf);
        expect(compliance(graph, [...some].reverse(), leftOf)).toEqual(base);
        const larger = compliance(graph, [...some, ...more], leftOf);
        base.entities.forEach((hit, i) => expect(larger.entities[i] || !hit).toBe(true));
        base.relations.forEach((hit, i) => expect(larger.relations[i] || !hit).toBe(true));
      }),
    );
  });
});

describe('scoreCompliance', () => {
  it('counts over the whole set, and per category and predicate', () => {
    const boat: SceneGraph = { objects: ['boat', 'tree'], relationships: [[0, 'right of', 1]] };
    const score = scoreCompliance(
      [sheepTree, boat],
      [[found('sheep', 0), found('tree', 0.5)], [found('tree', 0)]],
      leftOf,
    );
    expect(score).toEqual({
      graphs: 2,
      entity: 3 / 5,
      relation: 1 / 3,
      entityMacro: (0 + 1 / 2 + 1) / 3,
      relationMacro: (1 / 2 + 0) / 2,
      categories: {
        boat: { hits: 0, total: 1, share: 0 },
        sheep: { hits: 1, total: 2, share: 0.5 },
        tree: { hits: 2, total: 2, share: 1 },
      },
      predicates: { 'left of': { hits: 1, total: 2, share: 0.5 }, 'right of': { hits: 0, total: 1, share: 0 } },
    });
  });

  it('has no relation share where no graph has a triple', () => {
    expect(scoreCompliance([{ objects: ['boat'], relationships: [] }], [[]], leftOf).relation).toBeNaN();
  });

  it('says when lists do not fit', () => {
    expect(() => scoreCompliance([], [], leftOf)).toThrow(
      'scoreCompliance: expected at least one graph, received none.',
    );
    expect(() => scoreCompliance([sheepTree], [], leftOf)).toThrow(
      'scoreCompliance: expected one list of detections per graph, received 1 graphs and 0 detections.',
    );
  });
});

describe('complianceReport', () => {
  const boat: SceneGraph = { objects: ['boat', 'tree'], relationships: [[0, 'left of', 1]] };
  const inSheepTree = [found('sheep', 0), found('sheep', 0.2), found('tree', 0.5)];
  const inBoat = [found('boat', 0), found('tree', 0.5)];

  it('holds the pictures against their own graphs, the true renders, and other graphs', () => {
    const report = complianceReport({
      graphs: [sheepTree, boat],
      detections: [inSheepTree, [found('tree', 0.5)]],
      trueDetections: [inSheepTree, inBoat],
      relationHolds: leftOf,
    });
    expect([report.entity, report.relation]).toEqual([4 / 5, 2 / 3]);
    expect([report.ceiling.entity, report.ceiling.relation]).toEqual([1, 1]);
    expect([report.floor.entity, report.floor.relation]).toEqual([2 / 5, 0]); // only the trees
  });

  it('says when the true renders are missing', () => {
    const input = { graphs: [boat, boat], detections: [[], []], trueDetections: [[]], relationHolds: leftOf };
    expect(() => complianceReport(input)).toThrow(
      'complianceReport: expected one list of detections per graph, received 2 graphs and 1 trueDetections.',
    );
  });
});

describe('derangement', () => {
  it('is an order in which nobody keeps their place, the same for the same seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 50 }), fc.nat(), (count, seed) => {
        const order = derangement(count, seed);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
        expect(order.every((to, from) => to !== from)).toBe(true);
        expect(derangement(count, seed)).toEqual(order);
      }),
      { numRuns: 50 },
    );
  });

  it('needs two', () => {
    expect(() => derangement(1, 0)).toThrow(
      "derangement: expected at least 2 graphs, received 1. The floor holds each picture against another one's graph.",
    );
  });
});

import { createRng } from '@sgdiff/nn';
import type { SceneGraph } from '@sgdiff/sg-schema';
import type { Detection } from './detection';
import { MetricsError } from './metrics-error';

/** Whether `subject predicate object` holds between two detected things. Picture-book's definition is in @sgdiff/datasets. */
export type RelationRule = (predicate: string, subject: Detection, object: Detection) => boolean;

/** What of one graph is seen in one picture. */
export type Compliance = {
  /** Per node: is it among the detections, each detection counting for one node. */
  readonly entities: readonly boolean[];
  /** Per triple: does it hold between some pair of different detections of its two categories. */
  readonly relations: readonly boolean[];
};

export type Share = {
  readonly hits: number;
  readonly total: number;
  /** hits / total; NaN when total is 0. */ readonly share: number;
};

export type ComplianceScore = {
  readonly graphs: number;
  /** Matched nodes / nodes, over the whole set. */
  readonly entity: number;
  /** Triples that hold / triples, over the whole set. NaN when no graph has a triple. */
  readonly relation: number;
  /** Mean over the categories of their own shares: rare words count as much as common ones. */
  readonly entityMacro: number;
  readonly relationMacro: number;
  readonly categories: Readonly<Record<string, Share>>;
  readonly predicates: Readonly<Record<string, Share>>;
};

export type ComplianceReport = ComplianceScore & {
  /** The same graphs against detections in true renders: what a perfect generator would score. */
  readonly ceiling: ComplianceScore;
  /** The same pictures, each held against another picture's graph: what a generator would score that ignores the graph. */
  readonly floor: ComplianceScore;
};

/**
 * What of a graph is found in a picture. Two sheep in the graph need two detected sheep; of too few, the first nodes count.
 *
 * @param detections All detections of the picture, thresholds applied.
 */
export function compliance(
  graph: SceneGraph,
  detections: readonly Detection[],
  relationHolds: RelationRule,
): Compliance {
  const byCategory = new Map<string, Detection[]>();
  for (const detection of detections) {
    const list = byCategory.get(detection.category);
    if (list === undefined) byCategory.set(detection.category, [detection]);
    else list.push(detection);
  }
  const used = new Map<string, number>();
  const entities = graph.objects.map((category) => {
    const rank = used.get(category) ?? 0;
    used.set(category, rank + 1);
    return rank < (byCategory.get(category)?.length ?? 0);
  });
  const relations = graph.relationships.map(([s, predicate, o]) => {
    const subjects = byCategory.get(graph.objects[s]) ?? [];
    const objects = byCategory.get(graph.objects[o]) ?? [];
    return subjects.some((a) => objects.some((b) => a !== b && relationHolds(predicate, a, b)));
  });
  return { entities, relations };
}

/**
 * Compliance over a set, with shares per category and per predicate.
 *
 * @param detections One list per graph, in the same order.
 * @throws MetricsError if there are no graphs or the lists differ in length.
 */
export function scoreCompliance(
  graphs: readonly SceneGraph[],
  detections: readonly (readonly Detection[])[],
  relationHolds: RelationRule,
): ComplianceScore {
  expectSameCount('scoreCompliance', graphs, { detections });
  const categories = new Map<string, { hits: number; total: number }>();
  const predicates = new Map<string, { hits: number; total: number }>();
  graphs.forEach((graph, i) => {
    const { entities, relations } = compliance(graph, detections[i], relationHolds);
    entities.forEach((hit, n) => tally(categories, graph.objects[n], hit));
    relations.forEach((hit, r) => tally(predicates, graph.relationships[r][1], hit));
  });
  const entity = summarise(categories);
  const relation = summarise(predicates);
  return {
    graphs: graphs.length,
    entity: entity.share,
    relation: relation.share,
    entityMacro: entity.macro,
    relationMacro: relation.macro,
    categories: entity.parts,
    predicates: relation.parts,
  };
}

/**
 * Compliance of generated pictures between its ceiling and its floor.
 *
 * @param input.detections In the generated pictures, one list per graph.
 * @param input.trueDetections In the true renders that the graphs were drawn from, one list per graph.
 * @param input.seed Chooses which other graph each picture is held against for the floor.
 * @throws MetricsError with fewer than two graphs, or lists that differ in length.
 */
export function complianceReport(input: {
  readonly graphs: readonly SceneGraph[];
  readonly detections: readonly (readonly Detection[])[];
  readonly trueDetections: readonly (readonly Detection[])[];
  readonly relationHolds: RelationRule;
  readonly seed?: number;
}): ComplianceReport {
  const { graphs, detections, trueDetections, relationHolds, seed = 0 } = input;
  expectSameCount('complianceReport', graphs, { detections, trueDetections });
  const others = derangement(graphs.length, seed);
  return {
    ...scoreCompliance(graphs, detections, relationHolds),
    ceiling: scoreCompliance(graphs, trueDetections, relationHolds),
    floor: scoreCompliance(
      others.map((other) => graphs[other]),
      detections,
      relationHolds,
    ),
  };
}

/**
 * An order of 0..count-1 in which nobody keeps their place, the same for the same seed: one cycle through all, by
 * Sattolo's algorithm.
 *
 * @throws MetricsError for fewer than two places.
 */
export function derangement(count: number, seed: number): number[] {
  if (!Number.isInteger(count) || count < 2) {
    throw new MetricsError(
      `derangement: expected at least 2 graphs, received ${count}. The floor holds each picture against another one's graph.`,
    );
  }
  const rng = createRng('derangement', seed, count);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = rng.int(i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function tally(counts: Map<string, { hits: number; total: number }>, key: string, hit: boolean): void {
  const { hits, total } = counts.get(key) ?? { hits: 0, total: 0 };
  counts.set(key, { hits: hits + (hit ? 1 : 0), total: total + 1 });
}

function summarise(counts: ReadonlyMap<string, { hits: number; total: number }>) {
  const entries = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = Object.fromEntries(
    entries.map(([key, { hits, total }]) => [key, { hits, total, share: hits / total }]),
  );
  const shares = Object.values(parts);
  const sum = (value: (share: Share) => number) => shares.reduce((so, share) => so + value(share), 0);
  return { parts, share: sum((s) => s.hits) / sum((s) => s.total), macro: sum((s) => s.share) / shares.length };
}

function expectSameCount(where: string, graphs: readonly unknown[], lists: Record<string, readonly unknown[]>): void {
  if (graphs.length === 0) throw new MetricsError(`${where}: expected at least one graph, received none.`);
  for (const [name, list] of Object.entries(lists)) {
    if (list.length !== graphs.length) {
      throw new MetricsError(
        `${where}: expected one list of detections per graph, received ${graphs.length} graphs and ${list.length} ${name}.`,
      );
    }
  }
}

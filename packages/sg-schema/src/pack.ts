// Shapes: B graphs, O object slots, T triple slots.
import type { SceneGraph, Triple, Vocabulary } from './types';

import { createIssueList, SceneGraphError } from './issues';
import type { IssueList, IssuePath } from './issues';
import { addOutOfRange, checkObjectWord, checkPredicateWord, checkTripleCount, excessTriples } from './rules';

export type PackOptions = {
  /** The most triples that the encoder takes per graph, `__in_image__` triples included. */
  readonly maxTriples: number;
  /** O. Default: what the largest graph of the batch needs. */
  readonly objectSlots?: number;
  /** T. Default: what the largest graph of the batch needs, at least 1. */
  readonly tripleSlots?: number;
  /** What to do with triples past `maxTriples`. Default: `'error'`. `'drop'` leaves them out and lists them in `dropped`. */
  readonly overflow?: 'error' | 'drop';
};

/** Graphs as typed arrays, row-major, for one batch. Padding is 0 everywhere; the masks tell it from index 0. */
export type PackedGraphs = {
  /** B */
  readonly batch: number;
  /** O */
  readonly objectSlots: number;
  /** T */
  readonly tripleSlots: number;
  /** Object words as vocabulary indices `[B, O]`; `__image__` (0) stands last among the real ones. */
  readonly objects: Int32Array;
  /** 1 for a real object or `__image__`, 0 for padding `[B, O]`. */
  readonly objectMask: Float32Array;
  /** Slot of the subject within the graph's own O slots `[B, T]`. */
  readonly subjects: Int32Array;
  /** Predicate words as vocabulary indices `[B, T]`. */
  readonly predicates: Int32Array;
  /** Slot of the triple's object within the graph's own O slots `[B, T]`. */
  readonly tripleObjects: Int32Array;
  /** 1 for a real triple, `__in_image__` included, 0 for padding `[B, T]`. */
  readonly tripleMask: Float32Array;
  /**
   * How much each triple matters `[B, T]`, 0 for padding: the weight of the relation times those of its two objects; of an
   * `__in_image__` triple that of its object.
   */
  readonly tripleWeights: Float32Array;
  /** What `overflow: 'drop'` left out, in order. `__image__` is the object after the graph's last one. */
  readonly dropped: readonly { readonly graph: number; readonly triple: Triple }[];
};

/** Thrown where the options of `packGraphs` do not fit the graphs. */
export class PackError extends Error {
  override readonly name = 'PackError';
}

/**
 * Puts graphs into typed arrays as an encoder reads them.
 *
 * Each graph gets `__image__` as its last object and, after its own relations, one `(object, __in_image__, __image__)` triple per
 * object. Ids, boxes and the negative graph are not packed.
 *
 * @throws SceneGraphError if a word is unknown, a position is out of range or, unless `overflow` is `'drop'`, a graph has more
 *   triples than `maxTriples`. Paths start with the graph's place in the batch.
 * @throws PackError if there is no graph, or if an option is not a whole number or leaves too few slots.
 * @see SGDiff `ldm/data/vg.py`, which makes the same additions; its encoder keeps 15 triples and drops the rest without a word.
 */
export function packGraphs(graphs: readonly SceneGraph[], vocabulary: Vocabulary, options: PackOptions): PackedGraphs {
  const { maxTriples, overflow = 'error' } = options;
  if (graphs.length === 0) throw new PackError('packGraphs: expected at least one graph, received none. Pass a graph.');
  checkOption('maxTriples', maxTriples, 1);
  if (overflow !== 'error' && overflow !== 'drop') {
    throw new PackError(
      `packGraphs: expected overflow to be 'error' or 'drop', received ${JSON.stringify(overflow)}. For an encoder whose overflow ` +
        `is 'first', pass a maxTriples that all graphs fit in: it gives tokens to the first ones itself.`,
    );
  }
  checkGraphs(graphs, vocabulary, overflow === 'error' ? maxTriples : Infinity);

  const B = graphs.length;
  const O = slots('objectSlots', options.objectSlots, graphs, objectsOf, 'objects, __image__ included');
  const T = slots(
    'tripleSlots',
    options.tripleSlots,
    graphs,
    (graph) => Math.min(triplesOf(graph), maxTriples),
    'triples, __in_image__ included',
  );
  const packed = {
    batch: B,
    objectSlots: O,
    tripleSlots: T,
    objects: new Int32Array(B * O), // [B, O]
    objectMask: new Float32Array(B * O), // [B, O]
    subjects: new Int32Array(B * T), // [B, T]
    predicates: new Int32Array(B * T), // [B, T]
    tripleObjects: new Int32Array(B * T), // [B, T]
    tripleMask: new Float32Array(B * T), // [B, T]
    tripleWeights: new Float32Array(B * T), // [B, T]
    dropped: [] as { graph: number; triple: Triple }[],
  };
  graphs.forEach((graph, b) => {
    const imageSlot = graph.objects.length;
    graph.objects.forEach((word, slot) => {
      packed.objects[b * O + slot] = vocabulary.objectIndex(word)!;
    });
    packed.objectMask.fill(1, b * O, b * O + imageSlot + 1);

    const kept = Math.min(triplesOf(graph), maxTriples);
    for (let place = 0; place < kept; place++) {
      const at = b * T + place;
      const relation = graph.relationships[place];
      packed.subjects[at] = relation === undefined ? place - graph.relationships.length : relation[0];
      packed.predicates[at] = relation === undefined ? 0 : vocabulary.predicateIndex(relation[1])!;
      packed.tripleObjects[at] = relation === undefined ? imageSlot : relation[2];
      const ofRelation = relation === undefined ? 1 : (graph.relationshipWeights?.[place] ?? 1);
      const ofObject = (slot: number): number => graph.weights?.[slot] ?? 1; // __image__ has none
      packed.tripleWeights[at] = ofRelation * ofObject(packed.subjects[at]!) * ofObject(packed.tripleObjects[at]!);
    }
    packed.tripleMask.fill(1, b * T, b * T + kept);
    for (const triple of excessTriples(graph, maxTriples)) packed.dropped.push({ graph: b, triple });
  });
  return packed;
}

function checkGraphs(graphs: readonly SceneGraph[], vocabulary: Vocabulary, maxTriples: number): void {
  const issues = createIssueList();
  graphs.forEach((graph, b) => {
    if (!issues.full) checkGraph(issues, [b], graph, vocabulary, maxTriples);
  });
  if (issues.issues.length > 0) throw new SceneGraphError('packGraphs', issues.issues);
}

function checkGraph(
  issues: IssueList,
  path: IssuePath,
  graph: SceneGraph,
  vocabulary: Vocabulary,
  maxTriples: number,
): void {
  const objectCount = graph.objects.length;
  graph.objects.forEach((word, i) => checkObjectWord(issues, [...path, 'objects', i], word, vocabulary));
  graph.relationships.forEach(([subject, predicate, object], i) => {
    const at = [...path, 'relationships', i];
    if (!isPosition(subject, objectCount)) addOutOfRange(issues, [...at, 0], subject, objectCount);
    checkPredicateWord(issues, [...at, 1], predicate, vocabulary);
    if (!isPosition(object, objectCount)) addOutOfRange(issues, [...at, 2], object, objectCount);
  });
  checkTripleCount(issues, path, graph, maxTriples, ", or pass overflow: 'drop' to leave the last ones out");
}

function isPosition(value: number, objectCount: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < objectCount;
}

function objectsOf(graph: SceneGraph): number {
  return graph.objects.length + 1;
}

function triplesOf(graph: SceneGraph): number {
  return graph.relationships.length + graph.objects.length;
}

function slots(
  option: string,
  given: number | undefined,
  graphs: readonly SceneGraph[],
  need: (graph: SceneGraph) => number,
  unit: string,
): number {
  let most = 1;
  let largest = 0;
  graphs.forEach((graph, b) => {
    const needed = need(graph);
    if (needed > most) {
      most = needed;
      largest = b;
    }
  });
  if (given === undefined) return most;
  checkOption(option, given, 1);
  if (given < most) {
    throw new PackError(
      `packGraphs: expected ${option} of at least ${most}, received ${given}: graph ${largest} has ${most} ${unit}. ` +
        `Raise ${option} or leave it out.`,
    );
  }
  return given;
}

function checkOption(option: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new PackError(
    `packGraphs: expected ${option} to be a whole number of at least ${least}, received ${String(value)}. ` +
      `Pass the number from the model's config.`,
  );
}

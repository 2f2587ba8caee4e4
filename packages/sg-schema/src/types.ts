/** One relation: position of the subject in `objects`, predicate word, position of the object in `objects`. */
export type Triple = readonly [subject: number, predicate: string, object: number];

/** Left, top, right and bottom edge as fractions of the picture, in [0, 1]; y grows downward. */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

/**
 * A scene graph. The first two keys are sg2im's; the others are optional; `ids`, `boxes` and `weights` have one entry
 * per object, where present. The special node `__image__` and its `__in_image__` triples are never part of it: `packGraphs` adds them.
 */
export type SceneGraph = {
  readonly objects: readonly string[];
  readonly relationships: readonly Triple[];
  /** Names of the nodes that survive edits, unique within the graph. */
  readonly ids?: readonly string[];
  /** Where each object is, or `null` where that is not known. */
  readonly boxes?: readonly (Box | null)[];
  /** How much each object matters, at least 0; 1 is usual. */
  readonly weights?: readonly number[];
  /** How much each relation matters, at least 0; 1 is usual. One entry per relation. */
  readonly relationshipWeights?: readonly number[];
  /** What the picture should not show. A negative graph has no negative graph of its own. */
  readonly negative?: SceneGraph;
};

/** The words a model knows. The position of a word is its index in the model's embedding table. */
export type Vocabulary = {
  /** `objects[0]` is `__image__`. */
  readonly objects: readonly string[];
  /** `predicates[0]` is `__in_image__`. */
  readonly predicates: readonly string[];
  /** Index of an object word, `undefined` where the word is unknown. */
  objectIndex(name: string): number | undefined;
  /** Index of a predicate word, `undefined` where the word is unknown. */
  predicateIndex(name: string): number | undefined;
};

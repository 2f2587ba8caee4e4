import type { Rng } from '@sgdiff/nn';
import type { PackedGraphs, Vocabulary } from '@sgdiff/sg-schema';

/** Pairs of predicates that cannot hold together for the same subject and object. */
export const OPPOSITE_PREDICATES: readonly (readonly [string, string])[] = [
  ['left of', 'right of'],
  ['above', 'below'],
  ['inside', 'surrounding'],
  ['in front of', 'behind'],
];

/** For every predicate of a vocabulary the index of its opposite, -1 where there is none. */
export function oppositeIndices(vocabulary: Vocabulary, pairs = OPPOSITE_PREDICATES): Int32Array {
  const opposites = new Int32Array(vocabulary.predicates.length).fill(-1);
  for (const [a, b] of pairs) {
    const [i, j] = [vocabulary.predicateIndex(a), vocabulary.predicateIndex(b)];
    if (i === undefined || j === undefined) continue;
    opposites[i] = j;
    opposites[j] = i;
  }
  return opposites;
}

/**
 * The same graphs with one thing wrong in each: a predicate turned into its opposite where the graph has such a
 * predicate (half of the time), else one object renamed to a word that the graph does not use. An image may by chance
 * show the new word as an object its graph did not name; such negatives are false, and rare.
 *
 * @param opposites From `oppositeIndices`; without it only objects are renamed.
 * @returns Arrays of its own where something changed; the input is not written to.
 */
export function contradictGraphs(
  packed: PackedGraphs,
  rng: Rng,
  { objectCount, opposites }: { readonly objectCount: number; readonly opposites?: Int32Array },
): PackedGraphs {
  const { batch: B, objectSlots: O, tripleSlots: T } = packed;
  const objects = packed.objects.slice();
  const predicates = packed.predicates.slice();
  for (let b = 0; b < B; b++) {
    const draws = rng.fork(b);
    const reversible: number[] = [];
    for (let i = b * T; i < (b + 1) * T; i++) {
      if (packed.tripleMask[i] === 1 && (opposites?.[predicates[i]!] ?? -1) >= 0) reversible.push(i);
    }
    if (opposites && reversible.length > 0 && draws.uniform() < 0.5) {
      const i = draws.pick(reversible);
      predicates[i] = opposites[predicates[i]!]!;
      continue;
    }
    const named: number[] = [];
    for (let i = b * O; i < (b + 1) * O; i++) {
      if (packed.objectMask[i] === 1 && objects[i] !== 0) named.push(i); // word 0 is __image__
    }
    const used = new Set(named.map((i) => objects[i]));
    const others = Array.from({ length: objectCount - 1 }, (_, i) => i + 1).filter((word) => !used.has(word));
    if (named.length > 0 && others.length > 0) objects[draws.pick(named)] = draws.pick(others);
  }
  return { ...packed, objects, predicates };
}

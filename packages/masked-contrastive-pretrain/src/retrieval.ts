// Shapes: N pairs, D width.
import { PretrainError } from './errors';

/** Share of queries whose own partner is among the first 1, 5 and 10, each in [0, 1]. */
export type Recall = { readonly r1: number; readonly r5: number; readonly r10: number };

/** How well graphs find their images and images their graphs. */
export type Retrieval = {
  readonly graphToImage: Recall;
  readonly imageToGraph: Recall;
  /** Candidates per query; chance is r1 = 1 / candidates. */
  readonly candidates: number;
  /** Queries per direction. */
  readonly queries: number;
};

/**
 * Retrieval by cosine among groups of candidates, in float64. Pairs are taken in order, `candidates` to a group; a last
 * group that is not full is left out. Ties count as if broken by lot, so a collapsed encoder scores chance.
 *
 * @param graphGlobals `[N, D]` row-major.
 * @param imageGlobals `[N, D]`, row i the partner of graph i.
 * @param options `width` D; `candidates` per query, default 100 or N if that is fewer.
 * @throws PretrainError if the lengths do not fit or a number is not finite.
 */
export function retrieval(
  graphGlobals: Float32Array,
  imageGlobals: Float32Array,
  options: { readonly width: number; readonly candidates?: number },
): Retrieval {
  const { width } = options;
  const count = graphGlobals.length / width;
  if (!Number.isInteger(count) || count < 1 || graphGlobals.length !== imageGlobals.length) {
    throw new PretrainError(
      `retrieval: expected two lists of N x ${width} numbers with N at least 1, received ${graphGlobals.length} and ${imageGlobals.length}.`,
      { code: 'invalid_features' },
    );
  }
  const candidates = options.candidates ?? Math.min(100, count);
  if (!Number.isInteger(candidates) || candidates < 1 || candidates > count) {
    throw new PretrainError(
      `retrieval: expected candidates to be a whole number in 1 to ${count}, the number of pairs, received ${String(candidates)}.`,
      { code: 'invalid_config' },
    );
  }
  const graphs = unitVectors('graph', graphGlobals, width);
  const images = unitVectors('image', imageGlobals, width);
  const graphHits = { r1: 0, r5: 0, r10: 0 };
  const imageHits = { r1: 0, r5: 0, r10: 0 };
  const groups = Math.floor(count / candidates);
  for (let group = 0; group < groups; group++) {
    const first = group * candidates;
    for (let i = first; i < first + candidates; i++) {
      addHit(graphHits, rank(graphs[i]!, images, i, first, candidates));
      addHit(imageHits, rank(images[i]!, graphs, i, first, candidates));
    }
  }
  const queries = groups * candidates;
  const share = (hits: Recall): Recall => ({ r1: hits.r1 / queries, r5: hits.r5 / queries, r10: hits.r10 / queries });
  return { graphToImage: share(graphHits), imageToGraph: share(imageHits), candidates, queries };
}

function unitVectors(kind: string, values: Float32Array, width: number): Float64Array[] {
  return Array.from({ length: values.length / width }, (_, row) => {
    const vector = Float64Array.from(values.subarray(row * width, (row + 1) * width));
    const norm = Math.hypot(...vector);
    if (!Number.isFinite(norm)) {
      throw new PretrainError(
        `retrieval: the vector of ${kind} ${row} has a number that is not finite. Did training diverge?`,
        { code: 'invalid_features' },
      );
    }
    return norm === 0 ? vector : vector.map((x) => x / norm);
  });
}

/** How many candidates lie strictly before the partner, and how many others level with it. */
function rank(
  query: Float64Array,
  pool: readonly Float64Array[],
  partner: number,
  first: number,
  candidates: number,
): { before: number; level: number } {
  const target = dot(query, pool[partner]!);
  let before = 0;
  let level = 0;
  for (let j = first; j < first + candidates; j++) {
    if (j === partner) continue;
    const score = dot(query, pool[j]!);
    if (score > target) before += 1;
    else if (score === target) level += 1;
  }
  return { before, level };
}

function addHit(
  hits: { r1: number; r5: number; r10: number },
  { before, level }: { before: number; level: number },
): void {
  const chance = (places: number): number => Math.min(1, Math.max(0, (places - before) / (level + 1)));
  hits.r1 += chance(1);
  hits.r5 += chance(5);
  hits.r10 += chance(10);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

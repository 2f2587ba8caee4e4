// Shapes: N pictures, C classes.
import { MetricsError } from './metrics-error';

/** Rows of numbers without copies: `count` rows of `width` values each, row-major. */
export type RowMatrix = { readonly data: Float32Array | Float64Array; readonly count: number; readonly width: number };

export type InceptionScore = {
  /** Mean over the splits. */
  readonly mean: number;
  /** Standard deviation over the splits (divided by their number, as in the original code). */
  readonly standardDeviation: number;
  readonly splits: readonly number[];
};

/** Rows may miss the sum 1 by this much: float32 softmax over 1008 classes. */
const SUM_TOLERANCE = 1e-3;

/**
 * Inception Score: `exp(mean over pictures of KL(p(y|x) || p(y)))`, per split of consecutive pictures, in float64.
 *
 * Scores depend on the number of pictures and splits (50,000 and 10 in the literature): state both beside a value. Shuffle
 * pictures that come in the order of their classes.
 *
 * @param probabilities `[N, C]`, each row the class probabilities of one picture. Not logits.
 * @param splits Number of splits, at most N; split i holds the rows from `floor(i N / splits)` to the next one's start.
 * @throws MetricsError on rows that are no probabilities, or more splits than pictures.
 * @see arXiv:1606.03498, section 4.
 */
export function inceptionScore(probabilities: RowMatrix, splits = 10): InceptionScore {
  const { data, count: N, width: C } = probabilities;
  expectRows('inceptionScore', probabilities);
  if (!Number.isInteger(splits) || splits < 1 || splits > N) {
    throw new MetricsError(`inceptionScore: expected 1 to ${N} splits for ${N} pictures, received ${splits}.`);
  }
  for (let n = 0; n < N; n++) {
    let sum = 0;
    for (let c = 0; c < C; c++) {
      const p = data[n * C + c];
      if (!(p >= 0))
        throw new MetricsError(
          `inceptionScore: expected probabilities, received ${p} in row ${n}. Apply a softmax to logits.`,
        );
      sum += p;
    }
    if (!(Math.abs(sum - 1) <= SUM_TOLERANCE)) {
      throw new MetricsError(
        `inceptionScore: expected rows that sum to 1, received ${sum} for row ${n}. Apply a softmax to logits.`,
      );
    }
  }
  const scores = Array.from({ length: splits }, (_, i) =>
    splitScore(data, C, Math.floor((i * N) / splits), Math.floor(((i + 1) * N) / splits)),
  );
  const mean = scores.reduce((sum, score) => sum + score, 0) / splits;
  const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / splits;
  return { mean, standardDeviation: Math.sqrt(variance), splits: scores };
}

/** @throws MetricsError if the array does not hold `count` rows of `width`. */
export function expectRows(where: string, { data, count, width }: RowMatrix): void {
  if (count < 1 || width < 1 || data.length !== count * width) {
    throw new MetricsError(`${where}: expected count * width = ${count} * ${width} values, received ${data.length}.`);
  }
}

function splitScore(data: Float32Array | Float64Array, C: number, from: number, to: number): number {
  const marginal = new Float64Array(C);
  for (let n = from; n < to; n++) for (let c = 0; c < C; c++) marginal[c] = marginal[c] + data[n * C + c] / (to - from);
  let divergence = 0;
  for (let n = from; n < to; n++) {
    for (let c = 0; c < C; c++) {
      const p = data[n * C + c];
      if (p > 0) divergence += p * Math.log(p / marginal[c]); // 0 log 0 = 0
    }
  }
  return Math.exp(divergence / (to - from));
}

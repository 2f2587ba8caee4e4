// Shapes: N latent vectors, K codes, W width of a code. Typed arrays are row-major.
import type { Rng } from '@sgdiff/nn';

/** Thrown when a codebook and the latents for it do not fit. */
export class CodebookError extends Error {
  override readonly name = 'CodebookError';
}

/**
 * A first codebook taken from encoder outputs. Without it nearly all of a fresh codebook lies far from the latents, a
 * few codes take everything and the rest never learn.
 *
 * @param latents Encoder outputs before quantisation, `[N, W]` flat. Drawn without replacement while N ≥ K, else
 *   repeated with a little noise (2% of the standard deviation) to tell copies apart.
 * @returns `[K, W]` flat.
 * @throws CodebookError if `latents` holds no whole vector.
 */
export function codebookFromLatents(
  latents: Float32Array,
  codebookSize: number,
  width: number,
  rng: Rng,
): Float32Array {
  const N = countVectors('codebookFromLatents', latents, width);
  const jitter = 0.02 * standardDeviation(latents);
  const noise = rng.fork('jitter').fillNormal(new Float32Array(codebookSize * width));
  const order = rng.fork('order').shuffle(Array.from({ length: N }, (_, i) => i));
  const codes = new Float32Array(codebookSize * width);
  for (let k = 0; k < codebookSize; k++) {
    const from = order[k % N]! * width;
    for (let d = 0; d < width; d++) {
      codes[k * width + d] = latents[from + d]! + (k < N ? 0 : jitter * noise[k * width + d]!);
    }
  }
  return codes;
}

/** How often each code was chosen: `[K]`. */
export function countCodes(indices: ArrayLike<number>, codebookSize: number): Float32Array {
  const counts = new Float32Array(codebookSize);
  for (let i = 0; i < indices.length; i++) counts[indices[i]!]! += 1;
  return counts;
}

/** Effective number of codes: exp of the entropy of the counts, 1 … K; 0 if nothing was counted. */
export function codebookPerplexity(counts: Float32Array): number {
  const total = counts.reduce((sum, c) => sum + c, 0);
  if (total === 0) return 0;
  let entropy = 0;
  for (const c of counts) if (c > 0) entropy -= (c / total) * Math.log(c / total);
  return Math.exp(entropy);
}

/**
 * Moves codes that nothing chose onto random encoder outputs, so that they take part again.
 *
 * @param codebook `[K, W]` flat; not changed.
 * @param counts How often each code was chosen since the last look, `[K]`.
 * @param latents Recent encoder outputs before quantisation, `[N, W]` flat.
 * @param options A code chosen fewer than `minCount` times is dead; 1.
 * @returns The new codebook `[K, W]` flat and the rows that moved.
 * @throws CodebookError if the sizes do not fit.
 */
export function restartDeadCodes(
  codebook: Float32Array,
  counts: Float32Array,
  latents: Float32Array,
  rng: Rng,
  options: { readonly minCount?: number } = {},
): { readonly codebook: Float32Array; readonly restarted: number[] } {
  const width = codebook.length / counts.length;
  if (!Number.isInteger(width) || width < 1) {
    throw new CodebookError(
      `restartDeadCodes: expected one count per code, received ${codebook.length} values and ${counts.length} counts.`,
    );
  }
  countVectors('restartDeadCodes', latents, width);
  const { minCount = 1 } = options;
  const restarted = Array.from(counts.keys()).filter((k) => counts[k]! < minCount);
  const fresh = codebookFromLatents(latents, Math.max(1, restarted.length), width, rng);
  const moved = codebook.slice();
  restarted.forEach((k, i) => moved.set(fresh.subarray(i * width, (i + 1) * width), k * width));
  return { codebook: moved, restarted };
}

function countVectors(where: string, latents: Float32Array, width: number): number {
  const N = latents.length / width;
  if (!Number.isInteger(N) || N < 1) {
    throw new CodebookError(
      `${where}: expected latents made of vectors of ${width} values, received ${latents.length} values. ` +
        `Pass what encode returned, flattened.`,
    );
  }
  return N;
}

function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
}

// Shapes: N latent vectors, D width of a code.

export type LatentStatistics = {
  readonly mean: number;
  readonly std: number;
  readonly channelMeans: readonly number[];
  readonly channelStds: readonly number[];
  /** 1 / std: multiply latents by it before diffusion, divide by it before decode. */
  readonly scaleFactor: number;
};

/** Thrown when latents cannot give a scale. */
export class LatentStatisticsError extends Error {
  override readonly name = 'LatentStatisticsError';
}

/**
 * Mean and standard deviation of latents over data, and the factor that gives them unit deviation for diffusion.
 * Sums are kept in float64. Imported models keep a scale factor of 1: their noise schedule was chosen without one.
 *
 * @param batches Latents before quantisation, each `[N, D]` flat.
 * @throws LatentStatisticsError if there are none, or if they do not vary.
 * @see arXiv:2112.10752, appendix G (rescaling by the component-wise standard deviation).
 */
export function latentScale(batches: Iterable<Float32Array>, embedDim: number): LatentStatistics {
  const sums = new Float64Array(embedDim);
  const squares = new Float64Array(embedDim);
  let count = 0;
  for (const batch of batches) {
    if (batch.length % embedDim !== 0) {
      throw new LatentStatisticsError(
        `latentScale: expected batches made of vectors of ${embedDim} values, received one of ${batch.length} values.`,
      );
    }
    for (let i = 0; i < batch.length; i++) {
      sums[i % embedDim]! += batch[i]!;
      squares[i % embedDim]! += batch[i]! ** 2;
    }
    count += batch.length / embedDim;
  }
  if (count === 0) throw new LatentStatisticsError('latentScale: expected at least one latent vector, received none.');
  const channelMeans = Array.from(sums, (s) => s / count);
  const channelStds = Array.from(squares, (s, d) => Math.sqrt(Math.max(0, s / count - channelMeans[d]! ** 2)));
  const mean = channelMeans.reduce((a, b) => a + b, 0) / embedDim;
  const meanSquare = squares.reduce((a, b) => a + b, 0) / (count * embedDim);
  const std = Math.sqrt(Math.max(0, meanSquare - mean ** 2));
  if (!(std > 0)) {
    throw new LatentStatisticsError(
      `latentScale: expected latents that vary, received a standard deviation of ${std}. Was the autoencoder trained?`,
    );
  }
  return { mean, std, channelMeans, channelStds, scaleFactor: 1 / std };
}

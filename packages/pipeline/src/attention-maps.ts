// Shapes: B graphs, h, w latent sides at a factor, H, W picture sides, T triples with a token, M = T + 1 tokens.
import type { UnetAttention } from '@sgdiff/diffusion-unet';
import type { SceneGraph } from '@sgdiff/sg-schema';
import * as tf from '@tensorflow/tfjs-core';

/**
 * Where in the picture the network looked at what: shares of its cross-attention, means over the heads, the layers and the network
 * calls. Each map has `width * height` values, rows from the top, from 0 to 1: at a pixel, the maps of all triples (relations and
 * `__in_image__`) and that of the graph as a whole, which is not given, sum to 1. So maps are comparable with each other; to be
 * seen, they are to be scaled.
 *
 * The layers of the coarsest level are left out where there are finer ones: they look at the same tokens everywhere.
 *
 * @see arXiv:2208.01626, section 3.1; arXiv:2210.04885.
 */
export type PictureMaps = {
  /** One per object: that of its `__in_image__` triple. `null` where that got no token. */
  readonly objects: readonly (Float32Array | null)[];
  /** One per relation. `null` where it got no token. */
  readonly relationships: readonly (Float32Array | null)[];
};

/** Sums of attention at the sides it has in the network. */
export type AttentionSums = {
  /** Adds shares `[B, h, w, M]`, which stay the caller's. */
  add(attention: UnetAttention): void;
  /** Of each graph its means so far; `[]` before the first call. */
  read(): Promise<AttentionMeans[]>;
  /** Harmless when repeated. */
  dispose(): void;
};

/** Means of one graph, for each size that layers have. */
export type AttentionMeans = readonly {
  readonly height: number;
  readonly width: number;
  /** M: those of the triples, as `packGraphs` orders them, then that of the graph as a whole. */
  readonly tokens: number;
  /** How many layers' shares this is the mean of, each counted once per network call. */
  readonly layers: number;
  /** `[h, w, M]`; the values of a place sum to 1. */
  readonly shares: Float32Array;
}[];

/** Use it as `onAttention` of `drawLatents`. */
export function createAttentionSums(): AttentionSums {
  const sums = new Map<number, { readonly total: tf.Tensor4D; readonly layers: number }>(); // by factor
  let disposed = false;
  return {
    add({ factor, shares }) {
      if (disposed) return;
      const before = sums.get(factor);
      const total = tf.keep(before ? tf.add<tf.Tensor4D>(before.total, shares) : tf.clone(shares));
      sums.set(factor, { total, layers: (before?.layers ?? 0) + 1 });
      before?.total.dispose();
    },
    async read() {
      const parts = await Promise.all(
        [...sums.values()].map(async ({ total, layers }) => ({
          shape: total.shape,
          layers,
          values: await total.data<'float32'>(),
        })),
      );
      const graphs = parts[0]?.shape[0] ?? 0;
      return Array.from({ length: graphs }, (_, b) =>
        parts.map(({ shape: [, height, width, tokens], layers, values }) => {
          const size = height * width * tokens;
          const shares = values.slice(b * size, (b + 1) * size).map((sum) => sum / layers);
          return { height, width, tokens, layers, shares };
        }),
      );
    },
    dispose() {
      disposed = true;
      tf.dispose([...sums.values()].map(({ total }) => total));
      sums.clear();
    },
  };
}

/** Maps of a picture of `size` px. */
export function pictureMaps(means: AttentionMeans, { objects, relationships }: SceneGraph, size: number): PictureMaps {
  const coarsest = Math.min(...means.map(({ height }) => height));
  const finer = means.filter(({ height }) => height > coarsest);
  const parts = finer.length > 0 ? finer : means;
  const withToken = means[0].tokens - 1;
  const mapOf = (triple: number): Float32Array | null => (triple < withToken ? tokenMap(parts, triple, size) : null);
  return {
    objects: objects.map((_, i) => mapOf(relationships.length + i)),
    relationships: relationships.map((_, i) => mapOf(i)),
  };
}

/** The shares of one token, brought to the picture's size: the mean over all layers. */
function tokenMap(means: AttentionMeans, token: number, size: number): Float32Array {
  const map = new Float32Array(size * size);
  const all = means.reduce((sum, { layers }) => sum + layers, 0);
  for (const { height, width, tokens, layers, shares } of means) {
    const rows = taps(height, size);
    const columns = taps(width, size);
    for (let y = 0; y < size; y++) {
      const [above, below, down] = rows[y];
      for (let x = 0; x < size; x++) {
        const [left, right, across] = columns[x];
        const at = (row: number, column: number): number => shares[(row * width + column) * tokens + token];
        const upper = at(above, left) + across * (at(above, right) - at(above, left));
        const lower = at(below, left) + across * (at(below, right) - at(below, left));
        map[y * size + x] += (layers / all) * (upper + down * (lower - upper));
      }
    }
  }
  return map;
}

/** For each of `size` places the two of `count` cells it lies between, and how near the second is; bilinear, half-pixel centres. */
function taps(count: number, size: number): [first: number, second: number, share: number][] {
  return Array.from({ length: size }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * count) / size - 0.5, 0), count - 1);
    const first = Math.floor(at);
    return [first, Math.min(first + 1, count - 1), at - first];
  });
}

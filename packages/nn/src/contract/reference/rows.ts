// Shapes: N M rows, D width.
import { type Numbers, zeros } from './numbers';

/** `y[m] = x[ids[m]]`: `[N, D]` and ids `[...]` -> `[..., D]`. */
export function gatherRows(x: Numbers, ids: Numbers): Numbers {
  const D = x.shape[1];
  const y = zeros(...ids.shape, D);
  ids.data.forEach((id, m) => y.data.set(x.data.subarray(id * D, (id + 1) * D), m * D));
  return y;
}

/** The mean of the rows of each segment, `[M, D]` and ids `[M]` -> `[count, D]`; zeros for a segment without rows. */
export function segmentMean(x: Numbers, ids: Numbers, count: number): Numbers {
  const D = x.shape[1];
  const y = zeros(count, D);
  for (let segment = 0; segment < count; segment++) {
    const rows = [...ids.data.keys()].filter((m) => ids.data[m] === segment);
    for (const m of rows) for (let i = 0; i < D; i++) y.data[segment * D + i] += x.data[m * D + i] / rows.length;
  }
  return y;
}

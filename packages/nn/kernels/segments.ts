// Rows by number, and their sums, in memory that is not ours. Shapes: N rows of a table, M ids, D width.
import { load4, store4 } from './lanes';

/** Columns of an item of `segmentSum`. */
const COLUMNS: i32 = 16;

/** y[M, D] = rows of x[N, D]. Items: ids. */
export function gatherRows(x: usize, ids: usize, y: usize, D: i32, scratch: usize, from: i32, to: i32): void {
  const row = <usize>D << 2;
  for (let i = from; i < to; i++) {
    memory.copy(y + <usize>i * row, x + <usize>load<i32>(ids + (<usize>i << 2)) * row, row);
  }
}

export function segmentItems(D: i32): i32 {
  return (D + COLUMNS - 1) / COLUMNS;
}

/** out[N, D]: sums of the rows of x[M, D] that have the same id, in their order. Items: `segmentItems`. */
export function segmentSum(x: usize, ids: usize, out: usize, M: i32, N: i32, D: i32, scratch: usize, from: i32, to: i32): void {
  const row = <usize>D << 2;
  const begin = from * COLUMNS, end = min(D, to * COLUMNS);
  const first = <usize>begin << 2;
  const bytes = <usize>(end - begin) << 2;
  for (let segment = 0; segment < N; segment++) memory.fill(out + <usize>segment * row + first, 0, bytes);
  for (let i = 0; i < M; i++) {
    const p = x + <usize>i * row;
    const o = out + <usize>load<i32>(ids + (<usize>i << 2)) * row;
    for (let c = begin; c < end; c += 4) {
      const at = <usize>c << 2;
      store4(o + at, f32x4.add(load4(o + at, end - c), load4(p + at, end - c)), end - c);
    }
  }
}

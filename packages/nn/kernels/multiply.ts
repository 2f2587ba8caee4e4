// Products of matrices of any size, row by row in memory that is not ours. `aRow`, `bRow`, `outRow`: bytes from one row to the
// next. The second factor comes in panels, which `packPanels` or `packTransposedPanels` made.
import { EDGE, pack, packTransposed, padded, productOfAnySize } from './product';

/** Rows of the factors that `multiplyOverRows` takes at a time: their panels stay in the first-level cache. */
const RUN: i32 = 128;

/** Columns that `multiplyByColumns` takes at a time, and rows of them: their panels stay in the second-level cache. */
const COLUMNS: i32 = 32;
const DEPTH: i32 = 512;

/** Bytes of scratch memory for `multiply`. */
export function multiplyScratchBytes(): i32 {
  return <i32>EDGE;
}

/** b[K, N] as panels [N / 8, K, 8]. Items: panels. */
export function packPanels(b: usize, bRow: usize, panels: usize, K: i32, N: i32, scratch: usize, from: i32, to: i32): void {
  pack(b, bRow, panels, K, N, from, to);
}

/** bᵀ of b[N, K] as panels [N / 8, K, 8]. Items: panels. */
export function packTransposedPanels(
  b: usize, bRow: usize, panels: usize, K: i32, N: i32, scratch: usize, from: i32, to: i32,
): void {
  packTransposed(b, bRow, panels, K, N, from, to);
}

/** out[M, N] = a[M, K] b + bias. `bias` is 0 for none, else has N rounded up to 8 numbers. Items: rows. */
export function multiply(
  a: usize, aRow: usize, panels: usize, bias: usize, out: usize, outRow: usize, K: i32, N: i32, scratch: usize, from: i32, to: i32,
): void {
  const skipped = <usize>from;
  productOfAnySize(a + skipped * aRow, aRow, 4, panels, out + skipped * outRow, outRow, to - from, K, N, false, bias, scratch);
}

/** Bytes of scratch memory for `multiplyByColumns`. */
export function byColumnsScratchBytes(): i32 {
  return <i32>EDGE + COLUMNS * 4 * (1 + DEPTH);
}

/**
 * out[M, N] = a[M, K] b + bias, the same numbers as `multiply` gives: for few rows and a large b, which is read once and as
 * it is. Items: columns.
 *
 * @param b [K, N], or [N, K] if `transposed`. @param bias N numbers, or 0 for none.
 */
export function multiplyByColumns(
  a: usize, aRow: usize, b: usize, bRow: usize, transposed: bool, bias: usize, out: usize, outRow: usize, M: i32, K: i32,
  scratch: usize, from: i32, to: i32,
): void {
  const shift = scratch + EDGE;
  const panels = shift + (<usize>COLUMNS << 2);
  for (let n = from; n < to; n += COLUMNS) {
    const columns = min(COLUMNS, to - n);
    const skipped = <usize>n << 2;
    if (bias) memory.copy(shift, bias + skipped, <usize>columns << 2);
    for (let k = 0; k < K; k += DEPTH) {
      const depth = min(DEPTH, K - k);
      if (transposed) packTransposed(b + <usize>n * bRow + (<usize>k << 2), bRow, panels, depth, columns, 0, padded(columns) >> 3);
      else pack(b + <usize>k * bRow + skipped, bRow, panels, depth, columns, 0, padded(columns) >> 3);
      productOfAnySize(
        a + (<usize>k << 2), aRow, 4, panels, out + skipped, outRow, M, depth, columns, k > 0, bias ? shift : 0, scratch,
      );
    }
  }
}

/** Bytes of scratch memory for `multiplyOverRows` of so many panels. */
export function overRowsScratchBytes(panels: i32): i32 {
  return <i32>EDGE + ((RUN * panels) << 5);
}

/** out[K, N] = aᵀ b, a[M, K], b[M, N]. Items: panels of eight columns of b. */
export function multiplyOverRows(
  a: usize, aRow: usize, b: usize, bRow: usize, out: usize, outRow: usize, M: i32, K: i32, N: i32, scratch: usize, from: i32, to: i32,
): void {
  const panels = scratch + EDGE;
  const columns = min(N - (from << 3), (to - from) << 3);
  const skipped = <usize>from << 5;
  for (let m = 0; m < M; m += RUN) {
    const run = min(RUN, M - m);
    const row = <usize>m;
    pack(b + row * bRow + skipped, bRow, panels, run, columns, 0, to - from);
    productOfAnySize(a + row * aRow, 4, aRow, panels, out + skipped, outRow, K, run, columns, m > 0, 0, scratch);
  }
}

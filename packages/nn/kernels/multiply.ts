// Products of matrices of any size, row by row in memory that is not ours; rows may be parts of longer ones, so that
// heads of attention need no copies. `aRow`, `bRow`, `outRow`: bytes from one row to the next.
import { productOfAnySize } from './product';

/** Rows of the factors that `multiplyOverRows` takes at a time: their panels stay in the first-level cache. */
const RUN: i32 = 128;
const EDGE: usize = 128;

/** Bytes of scratch memory for a second factor of so many rows and columns. */
export function multiplyScratchBytes(depth: i32, columns: i32): i32 {
  return <i32>EDGE + (depth + 1) * ((columns + 7) & ~7) * 4;
}

/** out[M, N] = a[M, K] b[K, N] + bias. `bias` is 0 for none. */
export function multiply(
  a: usize, aRow: usize, b: usize, bRow: usize, bias: usize, out: usize, outRow: usize, scratch: usize, M: i32, K: i32, N: i32,
): void {
  const panels = scratch + EDGE;
  pack(b, bRow, panels, K, N);
  let start: usize = 0;
  if (bias) {
    start = panels + (<usize>(K * ((N + 7) & ~7)) << 2);
    memory.fill(start, 0, <usize>((N + 7) & ~7) << 2);
    memory.copy(start, bias, <usize>N << 2);
  }
  productOfAnySize(a, aRow, 4, panels, out, outRow, M, K, N, false, start, scratch);
}

/** out[M, N] = a[M, K] bᵀ, b[N, K]. */
export function multiplyTransposed(
  a: usize, aRow: usize, b: usize, bRow: usize, out: usize, outRow: usize, scratch: usize, M: i32, K: i32, N: i32,
): void {
  const panels = scratch + EDGE;
  for (let n = 0; n < N; n++) {
    let from = b + <usize>n * bRow;
    let to = panels + (<usize>((n & ~7) * K + (n & 7)) << 2);
    for (let k = 0; k < K; k++, from += 4, to += 32) store<f32>(to, load<f32>(from));
  }
  productOfAnySize(a, aRow, 4, panels, out, outRow, M, K, N, false, 0, scratch);
}

/** out[K, N] = aᵀ b, a[M, K], b[M, N]. Scratch for `RUN` rows. */
export function multiplyOverRows(
  a: usize, aRow: usize, b: usize, bRow: usize, out: usize, outRow: usize, scratch: usize, M: i32, K: i32, N: i32,
): void {
  const panels = scratch + EDGE;
  for (let m = 0; m < M; m += RUN) {
    const run = min(RUN, M - m);
    pack(b + <usize>m * bRow, bRow, panels, run, N);
    productOfAnySize(a + <usize>m * aRow, 4, aRow, panels, out, outRow, K, run, N, m > 0, 0, scratch);
  }
}

/** b[K, N] -> panels [N / 8, K, 8]; what is past the last column is not written. */
function pack(b: usize, bRow: usize, panels: usize, K: i32, N: i32): void {
  for (let n = 0; n < N; n += 8) {
    let from = b + (<usize>n << 2);
    let to = panels + (<usize>(n * K) << 2);
    if (N - n >= 8) {
      for (let k = 0; k < K; k++, from += bRow, to += 32) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
      }
    } else {
      const bytes = <usize>(N - n) << 2;
      for (let k = 0; k < K; k++, from += bRow, to += 32) memory.copy(to, from, bytes);
    }
  }
}

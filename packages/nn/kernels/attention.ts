// softmax(q kᵀ scale) v of heads that lie side by side, a few queries at a time: the whole matrix of weights is never there.
// In memory that is not ours.
//
// Shapes: B batch, h heads, N queries, M context tokens, d width of a head, D = h d, R queries of a block.
// See arXiv:2205.14135.
import { exp4, putTable, TABLE } from './math';
import { EDGE, pack, packTransposed, padded, productOfAnySize } from './product';

/** Weights of a block that stay in the second-level cache. */
const BLOCK: i32 = 16384;

/** Queries of a block, a multiple of 4. */
@inline function blockOf(N: i32, M: i32): i32 {
  return min((N + 3) & ~3, max(4, min(64, (BLOCK / M) & ~3)));
}

/** Bytes of scratch memory for `attend`. */
export function attendScratchBytes(N: i32, M: i32, d: i32): i32 {
  return <i32>(EDGE + TABLE) + 4 * (padded(M) * d + M * padded(d) + (blockOf(N, M) + 1) * padded(M));
}

/** Bytes of scratch memory for `attendGradient`. */
export function attendGradientScratchBytes(N: i32, M: i32, d: i32): i32 {
  const R = blockOf(N, M);
  return <i32>(EDGE + TABLE) + 4 * (2 * padded(M) * d + M * padded(d) + (2 * R + 1) * padded(M) + 2 * R * padded(d));
}

/**
 * y and the logarithms of the sums of exponentials. A query that may attend to nothing gets zeros, and Infinity.
 *
 * Items: stretches of `stretch` queries of a head of an image, B h ceil(N / stretch).
 * @param q y [B, N, D]. @param k v [B, M, D]. @param mask [B, M], factors of the weights, 1 attend, 0 ignore; or 0 for none. @param lse [B, h, N].
 */
export function attend(
  q: usize, k: usize, v: usize, mask: usize, y: usize, lse: usize, N: i32, M: i32, h: i32, d: i32, scale: f32, stretch: i32,
  scratch: usize, from: i32, to: i32,
): void {
  const row = <usize>(h * d) << 2;
  const width = padded(M);
  const scoreRow = <usize>width << 2;
  const table = scratch + EDGE;
  const keys = table + TABLE;
  const values = keys + (<usize>(width * d) << 2);
  const bars = values + (<usize>(M * padded(d)) << 2);
  const scores = bars + scoreRow;
  const R = blockOf(N, M);
  const stretches = (N + stretch - 1) / stretch;
  let packed = -1;
  putTable(table);
  for (let item = from; item < to; item++) {
    const pair = item / stretches;
    const image = <usize>(pair / h), head = <usize>(pair % h * d) << 2;
    if (pair !== packed) {
      const context = image * <usize>M * row + head;
      packTransposed(k + context, row, keys, d, M, 0, width >> 3);
      pack(v + context, row, values, M, d, 0, padded(d) >> 3);
      setBars(bars, mask ? mask + (image * <usize>M << 2) : 0, M, width, table);
      packed = pair;
    }
    const begin = item % stretches * stretch;
    const end = min(N, begin + stretch);
    for (let n = begin; n < end; n += R) {
      const rows = min(R, end - n);
      const at = (image * <usize>N + <usize>n) * row + head;
      productOfAnySize(q + at, row, 4, keys, scores, scoreRow, rows, d, width, false, 0, scratch);
      for (let r = 0; r < rows; r++) {
        softmax(scores + <usize>r * scoreRow, bars, scale, width, table, lse + (<usize>(pair * N + n + r) << 2));
      }
      productOfAnySize(scores, scoreRow, 4, values, y + at, row, rows, M, d, false, 0, scratch);
    }
  }
}

/**
 * Gradients of q, k and v. Items: heads of all images, B h.
 *
 * @param dy y q dq [B, N, D]. @param k v dk dv [B, M, D]. @param mask lse As for `attend`.
 */
export function attendGradient(
  dy: usize, q: usize, k: usize, v: usize, mask: usize, y: usize, lse: usize, dq: usize, dk: usize, dv: usize,
  N: i32, M: i32, h: i32, d: i32, scale: f32, scratch: usize, from: i32, to: i32,
): void {
  const row = <usize>(h * d) << 2;
  const width = padded(M), deep = padded(d);
  const scoreRow = <usize>width << 2;
  const R = blockOf(N, M);
  const table = scratch + EDGE;
  const keysTransposed = table + TABLE;
  const valuesTransposed = keysTransposed + (<usize>(width * d) << 2);
  const keys = valuesTransposed + (<usize>(width * d) << 2);
  const bars = keys + (<usize>(M * deep) << 2);
  const weights = bars + scoreRow;
  const slopes = weights + <usize>R * scoreRow;
  const queries = slopes + <usize>R * scoreRow;
  const gradients = queries + (<usize>(R * deep) << 2);
  putTable(table);
  for (let pair = from; pair < to; pair++) {
    const image = <usize>(pair / h), head = <usize>(pair % h * d) << 2;
    const context = image * <usize>M * row + head;
    packTransposed(k + context, row, keysTransposed, d, M, 0, width >> 3);
    packTransposed(v + context, row, valuesTransposed, d, M, 0, width >> 3);
    pack(k + context, row, keys, M, d, 0, deep >> 3);
    setBars(bars, mask ? mask + (image * <usize>M << 2) : 0, M, width, table);
    for (let n = 0; n < N; n += R) {
      const rows = min(R, N - n);
      const at = (image * <usize>N + <usize>n) * row + head;
      productOfAnySize(q + at, row, 4, keysTransposed, weights, scoreRow, rows, d, width, false, 0, scratch);
      productOfAnySize(dy + at, row, 4, valuesTransposed, slopes, scoreRow, rows, d, width, false, 0, scratch);
      for (let r = 0; r < rows; r++) {
        const along = dot(dy + at + <usize>r * row, y + at + <usize>r * row, d);
        const sum = load<f32>(lse + (<usize>(pair * N + n + r) << 2));
        backThroughSoftmax(weights + <usize>r * scoreRow, slopes + <usize>r * scoreRow, bars, scale, width, table, sum, along);
      }
      pack(q + at, row, queries, rows, d, 0, deep >> 3);
      pack(dy + at, row, gradients, rows, d, 0, deep >> 3);
      const more = n > 0;
      productOfAnySize(slopes, scoreRow, 4, keys, dq + at, row, rows, M, d, false, 0, scratch);
      productOfAnySize(slopes, 4, scoreRow, queries, dk + context, row, M, rows, d, more, 0, scratch);
      productOfAnySize(weights, 4, scoreRow, gradients, dv + context, row, M, rows, d, more, 0, scratch);
    }
  }
}

/** The logarithm of the mask: 0 where it is 1, -Infinity where it is 0 and past the last token. */
function setBars(bars: usize, mask: usize, M: i32, width: i32, table: usize): void {
  for (let m = 0; m < width; m++) {
    const share: f32 = m >= M ? 0 : mask ? load<f32>(mask + (<usize>m << 2)) : 1;
    store<f32>(bars + (<usize>m << 2), share === 1 ? 0 : share > 0 ? logarithm(share, table) : -Infinity);
  }
}

/** Scores of a query become its weights. */
function softmax(scores: usize, bars: usize, scale: f32, width: i32, table: usize, lse: usize): void {
  const end = scores + (<usize>width << 2);
  const factor = f32x4.splat(scale);
  let top = f32x4.splat(-Infinity);
  for (let p = scores, bar = bars; p < end; p += 16, bar += 16) {
    const s = f32x4.add(f32x4.mul(v128.load(p), factor), v128.load(bar));
    v128.store(p, s);
    top = f32x4.max(top, s);
  }
  const most = max(max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)), max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)));
  if (most === -Infinity) {
    memory.fill(scores, 0, <usize>width << 2);
    store<f32>(lse, Infinity);
    return;
  }
  const shift = f32x4.splat(most);
  let sums = f32x4.splat(0);
  for (let p = scores; p < end; p += 16) {
    const e = exp4(f32x4.sub(v128.load(p), shift), table);
    v128.store(p, e);
    sums = f32x4.add(sums, e);
  }
  const sum = total(sums);
  store<f32>(lse, most + logarithm(sum, table));
  const share = f32x4.splat(1 / sum);
  for (let p = scores; p < end; p += 16) v128.store(p, f32x4.mul(v128.load(p), share));
}

/**
 * Scores of a query become its weights w again, and the gradients of the weights those of the products q kᵀ:
 * w (slope - along) scale.
 */
function backThroughSoftmax(scores: usize, slopes: usize, bars: usize, scale: f32, width: i32, table: usize, sum: f32, along: f32): void {
  const factor = f32x4.splat(scale), shift = f32x4.splat(sum), mean = f32x4.splat(along);
  const end = scores + (<usize>width << 2);
  for (let p = scores, slope = slopes, bar = bars; p < end; p += 16, slope += 16, bar += 16) {
    const s = f32x4.add(f32x4.mul(v128.load(p), factor), v128.load(bar));
    const w = exp4(f32x4.sub(s, shift), table);
    v128.store(p, w);
    v128.store(slope, f32x4.mul(f32x4.mul(w, f32x4.sub(v128.load(slope), mean)), factor));
  }
}

/** The logarithm of a positive number, by Halley's method: the library's would bring a table into memory that is not ours. */
function logarithm(x: f32, table: usize): f32 {
  let y = (<f32>(reinterpret<i32>(x) - 0x3f800000)) * <f32>8.262958e-8; // within 0.06: ln 2 / 2^23 of its bits
  for (let i = 0; i < 2; i++) {
    const e = f32x4.extract_lane(exp4(f32x4.splat(y), table), 0);
    y += 2 * (x - e) / (x + e);
  }
  return y;
}

function dot(a: usize, b: usize, n: i32): f32 {
  let sums = f32x4.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4, a += 16, b += 16) sums = f32x4.add(sums, f32x4.mul(v128.load(a), v128.load(b)));
  let sum = total(sums);
  for (; i < n; i++, a += 4, b += 4) sum += load<f32>(a) * load<f32>(b);
  return sum;
}

@inline function total(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

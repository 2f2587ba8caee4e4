// Passes over all weights of a model, in memory that is not ours. The weights are many tensors; moments and averages are one
// vector each, in the same order.
//
// A table has a row for each tensor: where it begins in the vectors, its size, its first block, its weight decay (f32), and
// the addresses of up to three tensors of this size. One more row ends it. An item is a block: numbers of one tensor.

const ROW: usize = 32;
const FIRST: usize = 0;
const SIZE: usize = 4;
const FIRST_BLOCK: usize = 8;
const DECAY: usize = 12;
const A: usize = 16;
const B: usize = 20;
const C: usize = 24;

/** Numbers of a block. */
const BLOCK: i32 = 4096;

@inline function add(a: v128, b: v128): v128 { return f32x4.add(a, b); }
@inline function sub(a: v128, b: v128): v128 { return f32x4.sub(a, b); }
@inline function mul(a: v128, b: v128): v128 { return f32x4.mul(a, b); }

/** Blocks of a tensor of this size. */
export function blocksOf(size: i32): i32 {
  return (size + BLOCK - 1) / BLOCK;
}

/** The row of a block, at `row` or behind it. */
@inline function rowOf(row: usize, block: i32): usize {
  while (load<i32>(row + ROW, FIRST_BLOCK) <= block) row += ROW;
  return row;
}

/** out: the sum of the squares of each block of tensor A, in float64. */
export function squareSums(table: usize, out: usize, scratch: usize, from: i32, to: i32): void {
  let row = table;
  for (let block = from; block < to; block++) {
    row = rowOf(row, block);
    const start = (block - load<i32>(row, FIRST_BLOCK)) * BLOCK;
    const count = min(BLOCK, load<i32>(row, SIZE) - start);
    let p = load<usize>(row, A) + (<usize>start << 2);
    let low = f64x2.splat(0), high = low;
    let i = 0;
    for (; i + 4 <= count; i += 4, p += 16) {
      const v = v128.load(p);
      const a = f64x2.promote_low_f32x4(v), b = f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 2, 3));
      low = f64x2.add(low, f64x2.mul(a, a));
      high = f64x2.add(high, f64x2.mul(b, b));
    }
    low = f64x2.add(low, high);
    let sum = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1);
    for (; i < count; i++, p += 4) sum += <f64>load<f32>(p) * <f64>load<f32>(p);
    store<f64>(out + (<usize>block << 3), sum);
  }
}

/** Tensor B = tensor A * factor. */
export function scaleAll(table: usize, factor: f32, scratch: usize, from: i32, to: i32): void {
  let row = table;
  for (let block = from; block < to; block++) {
    row = rowOf(row, block);
    const start = (block - load<i32>(row, FIRST_BLOCK)) * BLOCK;
    const count = min(BLOCK, load<i32>(row, SIZE) - start);
    let p = load<usize>(row, A) + (<usize>start << 2), q = load<usize>(row, B) + (<usize>start << 2);
    let i = 0;
    for (; i + 4 <= count; i += 4, p += 16, q += 16) v128.store(q, mul(v128.load(p), f32x4.splat(factor)));
    for (; i < count; i++, p += 4, q += 4) store<f32>(q, load<f32>(p) * factor);
  }
}

/**
 * AdamW: from the gradients, tensors A, and the weights, tensors B, to new weights, tensors C. Changes the moments m and v.
 *
 * @param factor On the gradients. @param size Learning rate over the bias correction of m. @param root One over the root of
 * the bias correction of v.
 */
export function adamW(
  table: usize, m: usize, v: usize, factor: f32, keep1: f32, take1: f32, keep2: f32, take2: f32, rate: f32, size: f32, root: f32,
  eps: f32, scratch: usize, from: i32, to: i32,
): void {
  let row = table;
  for (let block = from; block < to; block++) {
    row = rowOf(row, block);
    const start = (block - load<i32>(row, FIRST_BLOCK)) * BLOCK;
    const count = min(BLOCK, load<i32>(row, SIZE) - start);
    const shrink = rate * load<f32>(row, DECAY);
    const offset = <usize>start << 2;
    const moments = (<usize>load<i32>(row, FIRST) << 2) + offset;
    const grads = load<usize>(row, A) + offset, weights = load<usize>(row, B) + offset, out = load<usize>(row, C) + offset;
    const m0 = m + moments, v0 = v + moments;
    let i = 0;
    for (; i + 4 <= count; i += 4) {
      const at = <usize>i << 2;
      const g = mul(v128.load(grads + at), f32x4.splat(factor));
      const m1 = add(mul(v128.load(m0 + at), f32x4.splat(keep1)), mul(g, f32x4.splat(take1)));
      const v1 = add(mul(v128.load(v0 + at), f32x4.splat(keep2)), mul(mul(g, g), f32x4.splat(take2)));
      const w = v128.load(weights + at);
      const divisor = add(mul(f32x4.sqrt(v1), f32x4.splat(root)), f32x4.splat(eps));
      const step = mul(f32x4.div(m1, divisor), f32x4.splat(size));
      v128.store(m0 + at, m1);
      v128.store(v0 + at, v1);
      v128.store(out + at, sub(sub(w, mul(w, f32x4.splat(shrink))), step));
    }
    for (; i < count; i++) {
      const at = <usize>i << 2;
      const g = load<f32>(grads + at) * factor;
      const m1 = load<f32>(m0 + at) * keep1 + g * take1;
      const v1 = load<f32>(v0 + at) * keep2 + g * g * take2;
      const w = load<f32>(weights + at);
      store<f32>(m0 + at, m1);
      store<f32>(v0 + at, v1);
      store<f32>(out + at, w - w * shrink - (m1 / (sqrt<f32>(v1) * root + eps)) * size);
    }
  }
}

/** average = average * keep + tensor A * take. */
export function movingAverage(table: usize, average: usize, keep: f32, take: f32, scratch: usize, from: i32, to: i32): void {
  let row = table;
  for (let block = from; block < to; block++) {
    row = rowOf(row, block);
    const start = (block - load<i32>(row, FIRST_BLOCK)) * BLOCK;
    const count = min(BLOCK, load<i32>(row, SIZE) - start);
    let p = load<usize>(row, A) + (<usize>start << 2);
    let q = average + (<usize>(load<i32>(row, FIRST) + start) << 2);
    let i = 0;
    for (; i + 4 <= count; i += 4, p += 16, q += 16) {
      v128.store(q, add(mul(v128.load(q), f32x4.splat(keep)), mul(v128.load(p), f32x4.splat(take))));
    }
    for (; i < count; i++, p += 4, q += 4) store<f32>(q, load<f32>(q) * keep + load<f32>(p) * take);
  }
}

// Layer normalisation of rows, in memory that is not ours. Shapes: N rows, D width. x, y and their gradients are [N, D].
import { load4, store4 } from './lanes';

@inline function add(a: v128, b: v128): v128 { return f32x4.add(a, b); }
@inline function sub(a: v128, b: v128): v128 { return f32x4.sub(a, b); }
@inline function mul(a: v128, b: v128): v128 { return f32x4.mul(a, b); }

/** Rows whose gradients of the weights are one part. */
const RUN: i32 = 64;

/** Numbers of x as differences to `middle`; zeros past the end of the row. */
@inline function difference(x: usize, left: i32, middle: v128): v128 {
  const d = sub(load4(x, left), middle);
  return left >= 4 ? d : v128.and(d, i32x4.lt_s(i32x4(0, 1, 2, 3), i32x4.splat(left)));
}

@inline function sumOf(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

/**
 * y = (x - mean) rstd weight + bias. Items: rows.
 *
 * @param mean rstd Written, [N].
 */
export function layerNorm(
  x: usize, weight: usize, bias: usize, y: usize, mean: usize, rstd: usize, D: i32, eps: f32, scratch: usize, from: i32, to: i32,
): void {
  const row = <usize>D << 2;
  for (let i = from; i < to; i++) {
    const p = x + <usize>i * row;
    const o = y + <usize>i * row;
    // Differences to the first number are exact where the mean is large.
    const first = load<f32>(p);
    let sum = f32x4.splat(0);
    for (let c = 0; c < D; c += 4) sum = add(sum, difference(p + (<usize>c << 2), D - c, f32x4.splat(first)));
    const offset = sumOf(sum) / <f32>D;
    const m = first + offset;
    const error = offset - (m - first); // what rounding took from the mean
    let squares = f32x4.splat(0);
    for (let c = 0; c < D; c += 4) {
      const d = difference(p + (<usize>c << 2), D - c, f32x4.splat(m));
      squares = add(squares, mul(d, d));
    }
    const r: f32 = 1 / sqrt<f32>(sumOf(squares) / <f32>D - error * error + eps);
    store<f32>(mean + (<usize>i << 2), m);
    store<f32>(rstd + (<usize>i << 2), r);
    for (let c = 0; c < D; c += 4) {
      const at = <usize>c << 2;
      const n = mul(sub(sub(load4(p + at, D - c), f32x4.splat(m)), f32x4.splat(error)), f32x4.splat(r));
      store4(o + at, add(mul(n, load4(weight + at, D - c)), load4(bias + at, D - c)), D - c);
    }
  }
}

/** Parts that `layerNormGradient` leaves of the gradients of the weights. */
export function layerNormParts(N: i32): i32 {
  return (N + RUN - 1) / RUN;
}

/**
 * Gradients of `layerNorm`. Items: parts, of so many rows each.
 *
 * @param dWeights dBiases [parts, D], sums over the rows of each part.
 */
export function layerNormGradient(
  dy: usize, x: usize, weight: usize, mean: usize, rstd: usize, dx: usize, dWeights: usize, dBiases: usize, N: i32, D: i32,
  scratch: usize, from: i32, to: i32,
): void {
  const row = <usize>D << 2;
  for (let part = from; part < to; part++) {
    const dWeight = dWeights + <usize>part * row;
    const dBias = dBiases + <usize>part * row;
    memory.fill(dWeight, 0, row);
    memory.fill(dBias, 0, row);
    for (let i = part * RUN, end = min(N, i + RUN); i < end; i++) {
      const offset = <usize>i * row;
      const m = v128.load32_splat(mean + (<usize>i << 2));
      const r = v128.load32_splat(rstd + (<usize>i << 2));
      let total = f32x4.splat(0), along = total;
      for (let c = 0; c < D; c += 4) {
        const at = <usize>c << 2;
        const n = mul(sub(load4(x + offset + at, D - c), m), r);
        const d = load4(dy + offset + at, D - c);
        const scaled = mul(d, load4(weight + at, D - c)); // zeros past the end
        total = add(total, scaled);
        along = add(along, mul(scaled, n));
        store4(dWeight + at, add(load4(dWeight + at, D - c), mul(d, n)), D - c);
        store4(dBias + at, add(load4(dBias + at, D - c), d), D - c);
      }
      // dx = rstd (weight dy - mean(weight dy) - n mean(weight dy n))
      const t = f32x4.splat(sumOf(total) / <f32>D);
      const a = f32x4.splat(sumOf(along) / <f32>D);
      for (let c = 0; c < D; c += 4) {
        const at = <usize>c << 2;
        const n = mul(sub(load4(x + offset + at, D - c), m), r);
        const scaled = mul(load4(dy + offset + at, D - c), load4(weight + at, D - c));
        store4(dx + offset + at, mul(r, sub(sub(scaled, t), mul(n, a))), D - c);
      }
    }
  }
}

// Group normalisation, with SiLU behind it or without, in memory that is not ours.
// Shapes: B images, S positions, C channels, G groups, M = C / G channels of a group. x, y and their gradients are [B, S, C].
//
// An item is a bundle of neighbouring groups of one image, W channels wide: it needs nothing of the others, so results do not
// depend on how the items are spread over threads. Scratch memory holds a record for each four of its channels: six
// vectors of four numbers, and two of four float64 sums.
import { load4, store4 } from './lanes';
import { putTable, sigmoid4, TABLE } from './math';

@inline function add(a: v128, b: v128): v128 { return f32x4.add(a, b); }
@inline function sub(a: v128, b: v128): v128 { return f32x4.sub(a, b); }
@inline function mul(a: v128, b: v128): v128 { return f32x4.mul(a, b); }

/** Positions whose sum is made in float32, before it is added to one in float64. */
const RUN: i32 = 64;

/** Bytes of a record, and where in it the float64 sums are. */
const RECORD: usize = 160;
const SUMS: usize = 96;

/** Channels of a bundle: about 32, in whole groups and, unless it is all there is, in fours. */
function bundleWidth(C: i32, M: i32): i32 {
  let groups = (31 + M) / M;
  while (((groups * M) & 3) !== 0) groups++;
  return min(C, groups * M);
}

export function groupNormItems(B: i32, C: i32, M: i32): i32 {
  const W = bundleWidth(C, M);
  return B * ((C + W - 1) / W);
}

export function groupNormScratchBytes(C: i32, M: i32): i32 {
  return <i32>(TABLE + RECORD * <usize>((bundleWidth(C, M) + 3) >> 2));
}

/** Address of a channel's number in vector `i` of its record. */
@inline function numberOf(records: usize, channel: i32, i: usize): usize {
  return records + RECORD * <usize>(channel >> 2) + (i << 4) + (<usize>(channel & 3) << 2);
}

/** Address of a channel's float64 sum, the first or the second. */
@inline function sumOf(records: usize, channel: i32, i: usize): usize {
  return records + RECORD * <usize>(channel >> 2) + SUMS + (i << 5) + (<usize>(channel & 3) << 3);
}

/** Adds vector `i` of each record to its float64 sum, and makes it zero. */
@inline function carry(records: usize, W: i32, i: usize, sum: usize): void {
  for (let c = 0; c < W; c += 4) {
    const from = numberOf(records, c, i);
    const to = sumOf(records, c, sum);
    const v = v128.load(from);
    v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(v)));
    v128.store(to, f64x2.add(v128.load(to, 16), f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 2, 3))), 16);
    v128.store(from, f32x4.splat(0));
  }
}

/** Sum of the channels' sums of a group. */
@inline function groupSum(records: usize, first: i32, M: i32, i: usize): f64 {
  let total: f64 = 0;
  for (let c = first; c < first + M; c++) total += load<f64>(sumOf(records, c, i));
  return total;
}

/**
 * y = (x - mean) rstd weight + bias for each channel, silu of it with `silu`. Items: `groupNormItems`.
 *
 * @param mean rstd Written, [B, G].
 */
export function groupNorm(
  x: usize, weight: usize, bias: usize, y: usize, mean: usize, rstd: usize, S: i32, C: i32, M: i32, eps: f32, silu: i32,
  scratch: usize, from: i32, to: i32,
): void {
  const bundle = bundleWidth(C, M);
  const bundles = (C + bundle - 1) / bundle;
  const row = <usize>C << 2;
  const records = scratch + TABLE;
  const n = <f64>S * <f64>M;
  putTable(scratch);
  for (let item = from; item < to; item++) {
    const image = item / bundles;
    const first = (item % bundles) * bundle;
    const W = min(bundle, C - first);
    const offset = (<usize>image * S * C + first) << 2;
    const groups = (<usize>(image * (C / M) + first / M)) << 2;
    memory.fill(records, 0, RECORD * <usize>((W + 3) >> 2));

    // Sums of differences to the first row, which are exact where the mean is large.
    for (let c = 0; c < W; c++) store<f32>(numberOf(records, c, 0), load<f32>(x + offset + (<usize>c << 2)));
    sumDifferences(x + offset, records, S, W, row, false);
    for (let g = 0; g < W; g += M) {
      let total = groupSum(records, g, M, 0);
      for (let c = g; c < g + M; c++) total += <f64>S * <f64>load<f32>(numberOf(records, c, 0));
      const exact = total / n;
      const rounded = <f32>exact;
      store<f32>(mean + groups + (<usize>(g / M) << 2), rounded);
      store<f64>(sumOf(records, g, 0), exact - <f64>rounded);
      for (let c = g; c < g + M; c++) store<f32>(numberOf(records, c, 0), rounded);
    }

    sumDifferences(x + offset, records, S, W, row, true);
    for (let g = 0; g < W; g += M) {
      const error = load<f64>(sumOf(records, g, 0));
      const r = <f32>(1 / sqrt<f64>(groupSum(records, g, M, 1) / n - error * error + <f64>eps));
      store<f32>(rstd + groups + (<usize>(g / M) << 2), r);
      for (let c = g; c < g + M; c++) {
        const channel = <usize>(first + c) << 2;
        const scale = r * load<f32>(weight + channel);
        store<f32>(numberOf(records, c, 2), scale);
        store<f32>(numberOf(records, c, 3), load<f32>(bias + channel) - <f32>error * scale);
      }
    }

    if (silu) normalize(x + offset, y + offset, records, scratch, S, W, row, true);
    else normalize(x + offset, y + offset, records, scratch, S, W, row, false);
  }
}

/** Sums over the positions of x - vector 0 (into sum 0), or of its square (into sum 1). Vector 1 is used, and zero again. */
@inline function sumDifferences(x: usize, records: usize, S: i32, W: i32, row: usize, squares: bool): void {
  for (let start = 0; start < S; start += RUN) {
    const end = min(S, start + RUN);
    for (let s = start; s < end; s += 2) {
      const p = x + <usize>s * row;
      const pair = s + 1 < end;
      for (let c = 0, r = records; c < W; c += 4, r += RECORD) {
        const middle = v128.load(r);
        const q = p + (<usize>c << 2);
        let d = sub(load4(q, W - c), middle);
        if (squares) d = mul(d, d);
        if (pair) {
          const e = sub(load4(q + row, W - c), middle);
          d = add(d, squares ? mul(e, e) : e);
        }
        v128.store(r, add(v128.load(r, 16), d), 16);
      }
    }
    carry(records, W, 1, squares ? 1 : 0);
  }
}

/** (x - vector 0) vector 2 + vector 3. */
@inline function normalize(x: usize, y: usize, records: usize, table: usize, S: i32, W: i32, row: usize, silu: bool): void {
  for (let s = 0; s < S; s++, x += row, y += row) {
    for (let c = 0, r = records; c < W; c += 4, r += RECORD) {
      const d = sub(load4(x + (<usize>c << 2), W - c), v128.load(r));
      let u = add(mul(d, v128.load(r, 32)), v128.load(r, 48));
      if (silu) u = mul(u, sigmoid4(u, table));
      store4(y + (<usize>c << 2), u, W - c);
    }
  }
}

/**
 * Gradients of `groupNorm`. Items: `groupNormItems`.
 *
 * @param dx [B, S, C]. @param dWeights dBiases [B, C], of each image apart.
 */
export function groupNormGradient(
  dy: usize, x: usize, weight: usize, bias: usize, mean: usize, rstd: usize, dx: usize, dWeights: usize, dBiases: usize,
  S: i32, C: i32, M: i32, silu: i32, scratch: usize, from: i32, to: i32,
): void {
  const bundle = bundleWidth(C, M);
  const bundles = (C + bundle - 1) / bundle;
  const row = <usize>C << 2;
  const records = scratch + TABLE;
  const n = <f64>S * <f64>M;
  putTable(scratch);
  for (let item = from; item < to; item++) {
    const image = item / bundles;
    const first = (item % bundles) * bundle;
    const W = min(bundle, C - first);
    const offset = (<usize>image * S * C + first) << 2;
    const groups = (<usize>(image * (C / M) + first / M)) << 2;
    memory.fill(records, 0, RECORD * <usize>((W + 3) >> 2));
    for (let c = 0; c < W; c++) {
      const group = groups + (<usize>(c / M) << 2);
      const channel = <usize>(first + c) << 2;
      store<f32>(numberOf(records, c, 0), load<f32>(mean + group));
      store<f32>(numberOf(records, c, 1), load<f32>(rstd + group));
      store<f32>(numberOf(records, c, 2), load<f32>(weight + channel));
      store<f32>(numberOf(records, c, 3), load<f32>(bias + channel));
    }

    // With n = (x - mean) rstd: the sums of du and of du n. du is kept where dx will be.
    const du = silu ? dx + offset : dy + offset;
    if (silu) sumSlopes(dy + offset, x + offset, du, records, scratch, S, W, row, true);
    else sumSlopes(dy + offset, x + offset, du, records, scratch, S, W, row, false);

    const partial = (<usize>image * C + first) << 2;
    for (let g = 0; g < W; g += M) {
      let total: f64 = 0, along: f64 = 0;
      for (let c = g; c < g + M; c++) {
        const channel = <usize>c << 2;
        const dBias = load<f64>(sumOf(records, c, 0)), dWeight = load<f64>(sumOf(records, c, 1));
        store<f32>(dBiases + partial + channel, <f32>dBias);
        store<f32>(dWeights + partial + channel, <f32>dWeight);
        const w = <f64>load<f32>(numberOf(records, c, 2));
        total += w * dBias;
        along += w * dWeight;
      }
      // dx = rstd (weight du - mean(weight du) - n mean(weight du n)), means over the group.
      const r = <f64>load<f32>(numberOf(records, g, 1));
      for (let c = g; c < g + M; c++) {
        store<f32>(numberOf(records, c, 1), <f32>(r * r * along / n));
        store<f32>(numberOf(records, c, 2), <f32>r * load<f32>(numberOf(records, c, 2)));
        store<f32>(numberOf(records, c, 3), <f32>(r * total / n));
      }
    }
    inputGradient(du, x + offset, dx + offset, records, S, W, row);
  }
}

/** Sums over the positions of du and du n, with mean, rstd, weight, bias in vectors 0 to 3. Writes du, which is dy without SiLU. */
@inline function sumSlopes(
  dy: usize, x: usize, du: usize, records: usize, table: usize, S: i32, W: i32, row: usize, silu: bool,
): void {
  const one = f32x4.splat(1);
  for (let start = 0; start < S; start += RUN) {
    for (let s = start, end = min(S, start + RUN); s < end; s++, dy += row, x += row, du += row) {
      for (let c = 0, r = records; c < W; c += 4, r += RECORD) {
        const at = <usize>c << 2;
        const n = mul(sub(load4(x + at, W - c), v128.load(r)), v128.load(r, 16));
        let d = load4(dy + at, W - c);
        if (silu) {
          const u = add(mul(n, v128.load(r, 32)), v128.load(r, 48));
          const sigma = sigmoid4(u, table);
          d = mul(d, mul(sigma, add(one, mul(u, sub(one, sigma)))));
          store4(du + at, d, W - c);
        }
        v128.store(r, add(v128.load(r, 64), d), 64);
        v128.store(r, add(v128.load(r, 80), mul(d, n)), 80);
      }
    }
    carry(records, W, 4, 0);
    carry(records, W, 5, 1);
  }
}

/** vector 2 du - vector 3 - vector 1 (x - vector 0). */
@inline function inputGradient(du: usize, x: usize, dx: usize, records: usize, S: i32, W: i32, row: usize): void {
  for (let s = 0; s < S; s++, du += row, x += row, dx += row) {
    for (let c = 0, r = records; c < W; c += 4, r += RECORD) {
      const at = <usize>c << 2;
      const d = sub(load4(x + at, W - c), v128.load(r));
      const scaled = sub(mul(load4(du + at, W - c), v128.load(r, 32)), v128.load(r, 48));
      store4(dx + at, sub(scaled, mul(d, v128.load(r, 16))), W - c);
    }
  }
}

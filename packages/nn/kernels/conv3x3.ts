// 3x3 convolution with stride 1 by Winograd's F(2x2, 3x3), forward and gradient of the weights, in memory that is not ours:
// every pointer is an address in the memory of the tfjs wasm backend. 2.25 times fewer products than the plain sum.
//
// Shapes: B images, H W input sides, h w output sides, C channels in, K channels out (both multiples of 4),
// N = K rounded up to 8, T tiles of a block. A tile is 2x2 outputs and the 4x4 inputs they see.
// With d an input tile and g a kernel: outputs = At [(G g Gt) * (Bt d B)] A.
// See arXiv:1509.09308, section 4.1.

import { padded, product } from './product';

/** Tiles of a block: its transformed tiles stay in the second-level cache. A multiple of 4. */
const T: i32 = 32;

/** Tiles of a block: the items of `convolve`. */
export function tilesOfBlock(): i32 {
  return T;
}

/** Channels out that `convolveByChannels` takes at a time, and channels in: their kernels stay in the second-level cache. */
const CHANNELS: i32 = 128;
const DEPTH: i32 = 64;

/**
 * Bytes from one of the 16 matrices to the next: a line of the cache more than they take, for with powers of two all 16 would
 * fall on the same few lines.
 */
@inline function plane(rows: i32, columns: i32): usize { return (<usize>(rows * columns) << 2) + 64; }

/** Bytes of scratch memory that `convolve` and `weightGradient` need. */
export function convolveScratchBytes(C: i32, K: i32): i32 {
  return <i32>(16 * (plane(T, C) + plane(T, padded(K)))) + max(C, K) * 4;
}

@inline function add(a: v128, b: v128): v128 { return f32x4.add(a, b); }
@inline function sub(a: v128, b: v128): v128 { return f32x4.sub(a, b); }

/**
 * Kernels in the products' form, [16, N / 8, C, 8]. What is past column K is not written. Items: channels in.
 *
 * @param w [3, 3, C, K]. @param u 16 planes.
 */
export function transformWeights(w: usize, u: usize, C: i32, K: i32, scratch: usize, from: i32, to: i32): void {
  transformKernels(w + (<usize>(from * K) << 2), u + (<usize>from << 5), C, K, C, to - from, K);
}

/** Kernels from the first `count` channels to the first `width`, in panels of `depth` rows: u is [16, width / 8, depth, 8]. */
function transformKernels(w: usize, u: usize, C: i32, K: i32, depth: i32, count: i32, width: i32): void {
  const each = plane(depth, padded(width));
  const tap = <usize>(C * K) << 2;
  for (let c = 0; c < count; c++) {
    for (let k = 0; k < width; k += 4) {
      const p = w + (<usize>(c * K + k) << 2);
      const to = u + (<usize>(((k >> 3) * depth + c) * 8 + (k & 7)) << 2);
      putWeights(
        v128.load(p), v128.load(p + tap), v128.load(p + 2 * tap),
        v128.load(p + 3 * tap), v128.load(p + 4 * tap), v128.load(p + 5 * tap),
        v128.load(p + 6 * tap), v128.load(p + 7 * tap), v128.load(p + 8 * tap),
        to, each,
      );
    }
  }
}

/**
 * The same for the kernels of the input gradient: turned by half, channels exchanged. `u` is [16, M / 8, K, 8], M = C
 * rounded up to 8. Items: channels out.
 */
export function transformTurnedWeights(w: usize, u: usize, C: i32, K: i32, scratch: usize, from: i32, to: i32): void {
  transformTurnedKernels(w + (<usize>from << 2), u + (<usize>from << 5), C, K, K, to - from, C);
}

/** The same of the first `count` channels out and the first `width` in: u is [16, width / 8, depth, 8]. */
function transformTurnedKernels(w: usize, u: usize, C: i32, K: i32, depth: i32, count: i32, width: i32): void {
  const each = plane(depth, padded(width));
  const tap = <usize>(C * K) << 2;
  const row = <usize>K << 2;
  for (let c = 0; c < width; c += 4) {
    for (let k = 0; k < count; k++) {
      const p = w + (<usize>(c * K + k) << 2);
      const to = u + (<usize>(((c >> 3) * depth + k) * 8 + (c & 7)) << 2);
      putWeights(
        column(p + 8 * tap, row), column(p + 7 * tap, row), column(p + 6 * tap, row),
        column(p + 5 * tap, row), column(p + 4 * tap, row), column(p + 3 * tap, row),
        column(p + 2 * tap, row), column(p + tap, row), column(p, row),
        to, each,
      );
    }
  }
}

/** Four numbers `step` bytes apart. */
@inline function column(p: usize, step: usize): v128 {
  let v = v128.load32_zero(p);
  v = v128.load_lane<f32>(p + step, v, 1);
  v = v128.load_lane<f32>(p + 2 * step, v, 2);
  return v128.load_lane<f32>(p + 3 * step, v, 3);
}

/** G g Gt of four kernels, each of its 16 numbers `each` bytes apart. */
@inline function putWeights(
  g00: v128, g01: v128, g02: v128, g10: v128, g11: v128, g12: v128, g20: v128, g21: v128, g22: v128, to: usize, each: usize,
): void {
  const half = f32x4.splat(0.5);
  putRow(g00, g01, g02, to, each);
  putRow(
    f32x4.mul(half, add(add(g00, g20), g10)), f32x4.mul(half, add(add(g01, g21), g11)), f32x4.mul(half, add(add(g02, g22), g12)),
    to + 4 * each, each,
  );
  putRow(
    f32x4.mul(half, sub(add(g00, g20), g10)), f32x4.mul(half, sub(add(g01, g21), g11)), f32x4.mul(half, sub(add(g02, g22), g12)),
    to + 8 * each, each,
  );
  putRow(g20, g21, g22, to + 12 * each, each);
}

@inline function putRow(a: v128, b: v128, c: v128, to: usize, each: usize): void {
  const half = f32x4.splat(0.5);
  const ends = add(a, c);
  v128.store(to, a);
  v128.store(to + each, f32x4.mul(half, add(ends, b)));
  v128.store(to + 2 * each, f32x4.mul(half, sub(ends, b)));
  v128.store(to + 3 * each, c);
}

/** Address of a position of an image, or of zeros where there is none. */
@inline function at(image: usize, r: i32, c: i32, H: i32, W: i32, C: i32, zeros: usize): usize {
  return (<u32>r < <u32>H) & (<u32>c < <u32>W) ? image + (<usize>((r * W + c) * C) << 2) : zeros;
}

/** Bt d B of tiles `first` … `first + count` into v [count, C], each of the 16 numbers `each` bytes apart. */
function transformTiles(
  x: usize, v: usize, each: usize, zeros: usize, first: i32, count: i32, rows: i32, columns: i32,
  H: i32, W: i32, C: i32, top: i32, left: i32,
): void {
  const bytes = <usize>C << 2;
  for (let n = 0; n < count; n++) {
    const tile = first + n;
    const j = tile % columns, i = (tile / columns) % rows;
    const image = x + <usize>(tile / (columns * rows)) * (<usize>(H * W) * bytes);
    const r = 2 * i - top, c = 2 * j - left;
    const p00 = at(image, r, c, H, W, C, zeros), p01 = at(image, r, c + 1, H, W, C, zeros);
    const p02 = at(image, r, c + 2, H, W, C, zeros), p03 = at(image, r, c + 3, H, W, C, zeros);
    const p10 = at(image, r + 1, c, H, W, C, zeros), p11 = at(image, r + 1, c + 1, H, W, C, zeros);
    const p12 = at(image, r + 1, c + 2, H, W, C, zeros), p13 = at(image, r + 1, c + 3, H, W, C, zeros);
    const p20 = at(image, r + 2, c, H, W, C, zeros), p21 = at(image, r + 2, c + 1, H, W, C, zeros);
    const p22 = at(image, r + 2, c + 2, H, W, C, zeros), p23 = at(image, r + 2, c + 3, H, W, C, zeros);
    const p30 = at(image, r + 3, c, H, W, C, zeros), p31 = at(image, r + 3, c + 1, H, W, C, zeros);
    const p32 = at(image, r + 3, c + 2, H, W, C, zeros), p33 = at(image, r + 3, c + 3, H, W, C, zeros);
    let to = v + <usize>n * bytes;
    for (let o: usize = 0; o < bytes; o += 16, to += 16) {
      // Column by column of the tile first, so that few numbers are alive at once.
      let d0 = v128.load(p00 + o), d1 = v128.load(p10 + o), d2 = v128.load(p20 + o), d3 = v128.load(p30 + o);
      const a0 = sub(d0, d2), a1 = add(d1, d2), a2 = sub(d2, d1), a3 = sub(d1, d3);
      d0 = v128.load(p02 + o); d1 = v128.load(p12 + o); d2 = v128.load(p22 + o); d3 = v128.load(p32 + o);
      const c0 = sub(d0, d2), c1 = add(d1, d2), c2 = sub(d2, d1), c3 = sub(d1, d3);
      v128.store(to, sub(a0, c0)); v128.store(to + 4 * each, sub(a1, c1));
      v128.store(to + 8 * each, sub(a2, c2)); v128.store(to + 12 * each, sub(a3, c3));
      d0 = v128.load(p01 + o); d1 = v128.load(p11 + o); d2 = v128.load(p21 + o); d3 = v128.load(p31 + o);
      const b0 = sub(d0, d2), b1 = add(d1, d2), b2 = sub(d2, d1), b3 = sub(d1, d3);
      v128.store(to + each, add(b0, c0)); v128.store(to + 5 * each, add(b1, c1));
      v128.store(to + 9 * each, add(b2, c2)); v128.store(to + 13 * each, add(b3, c3));
      v128.store(to + 2 * each, sub(c0, b0)); v128.store(to + 6 * each, sub(c1, b1));
      v128.store(to + 10 * each, sub(c2, b2)); v128.store(to + 14 * each, sub(c3, b3));
      d0 = v128.load(p03 + o); d1 = v128.load(p13 + o); d2 = v128.load(p23 + o); d3 = v128.load(p33 + o);
      v128.store(to + 3 * each, sub(b0, sub(d0, d2))); v128.store(to + 7 * each, sub(b1, add(d1, d2)));
      v128.store(to + 11 * each, sub(b2, sub(d2, d1))); v128.store(to + 15 * each, sub(b3, sub(d1, d3)));
    }
  }
}

/** At m A of products m [count, N], each of the 16 numbers `each` bytes apart, into the first `width` channels of y [B, h, w, K]. */
function gatherOutputs(
  m: usize, each: usize, y: usize, bias: usize, first: i32, count: i32, rows: i32, columns: i32, h: i32, w: i32, K: i32, N: i32,
  width: i32,
): void {
  const bytes = <usize>K << 2;
  const end = <usize>width << 2;
  for (let n = 0; n < count; n++) {
    const tile = first + n;
    const j = tile % columns, i = (tile / columns) % rows;
    const image = y + <usize>(tile / (columns * rows)) * (<usize>(h * w) * bytes);
    const to = image + <usize>(2 * i * w + 2 * j) * bytes;
    const below = to + <usize>w * bytes;
    const two = 2 * i + 1 < h, wide = 2 * j + 1 < w;
    const from = m + (<usize>(n * N) << 2);
    for (let o: usize = 0; o < end; o += 16) {
      const p = from + o;
      let m0 = v128.load(p), m1 = v128.load(p + 4 * each), m2 = v128.load(p + 8 * each), m3 = v128.load(p + 12 * each);
      let upper = add(add(m0, m1), m2), lower = sub(sub(m1, m2), m3);
      m0 = v128.load(p + each); m1 = v128.load(p + 5 * each); m2 = v128.load(p + 9 * each); m3 = v128.load(p + 13 * each);
      let u1 = add(add(m0, m1), m2), l1 = sub(sub(m1, m2), m3);
      upper = add(upper, u1); lower = add(lower, l1);
      m0 = v128.load(p + 2 * each); m1 = v128.load(p + 6 * each); m2 = v128.load(p + 10 * each); m3 = v128.load(p + 14 * each);
      const u2 = add(add(m0, m1), m2), l2 = sub(sub(m1, m2), m3);
      upper = add(upper, u2); lower = add(lower, l2);
      m0 = v128.load(p + 3 * each); m1 = v128.load(p + 7 * each); m2 = v128.load(p + 11 * each); m3 = v128.load(p + 15 * each);
      u1 = sub(sub(u1, u2), add(add(m0, m1), m2)); l1 = sub(sub(l1, l2), sub(sub(m1, m2), m3));
      if (bias) {
        const shift = v128.load(bias + o);
        upper = add(upper, shift); lower = add(lower, shift); u1 = add(u1, shift); l1 = add(l1, shift);
      }
      v128.store(to + o, upper);
      if (wide) v128.store(to + bytes + o, u1);
      if (two) {
        v128.store(below + o, lower);
        if (wide) v128.store(below + bytes + o, l1);
      }
    }
  }
}

/** A dy At of tiles `first` … `first + count`, outputs that are not there counted as zero: m is [16, T, N]. */
function spreadGradients(
  dy: usize, m: usize, zeros: usize, first: i32, count: i32, rows: i32, columns: i32, h: i32, w: i32, K: i32, N: i32,
): void {
  const each = plane(T, N);
  const bytes = <usize>K << 2;
  for (let n = 0; n < count; n++) {
    const tile = first + n;
    const j = tile % columns, i = (tile / columns) % rows;
    const image = dy + <usize>(tile / (columns * rows)) * (<usize>(h * w) * bytes);
    const p00 = at(image, 2 * i, 2 * j, h, w, K, zeros), p01 = at(image, 2 * i, 2 * j + 1, h, w, K, zeros);
    const p10 = at(image, 2 * i + 1, 2 * j, h, w, K, zeros), p11 = at(image, 2 * i + 1, 2 * j + 1, h, w, K, zeros);
    let to = m + (<usize>(n * N) << 2);
    for (let o: usize = 0; o < bytes; o += 16, to += 16) {
      const d00 = v128.load(p00 + o), d01 = v128.load(p01 + o), d10 = v128.load(p10 + o), d11 = v128.load(p11 + o);
      spreadRow(d00, d01, to, each);
      spreadRow(add(d00, d10), add(d01, d11), to + 4 * each, each);
      spreadRow(sub(d00, d10), sub(d01, d11), to + 8 * each, each);
      spreadRow(f32x4.neg(d10), f32x4.neg(d11), to + 12 * each, each);
    }
  }
}

@inline function spreadRow(a: v128, b: v128, to: usize, each: usize): void {
  v128.store(to, a);
  v128.store(to + each, add(a, b));
  v128.store(to + 2 * each, sub(a, b));
  v128.store(to + 3 * each, f32x4.neg(b));
}

/**
 * y = x * w + bias. Items: tiles; ranges begin at multiples of `tilesOfBlock()`.
 *
 * @param u From `transformWeights` (or `transformTurnedWeights`). @param bias K floats, or 0 for none.
 * @param top left Rows and columns of zeros before x. @param scratch `convolveScratchBytes(C, K)`.
 */
export function convolve(
  x: usize, u: usize, bias: usize, y: usize, H: i32, W: i32, C: i32, h: i32, w: i32, K: i32, top: i32, left: i32,
  scratch: usize, from: i32, to: i32,
): void {
  const N = padded(K);
  const v = scratch;
  const m = v + 16 * plane(T, C);
  const zeros = m + 16 * plane(T, N);
  memory.fill(zeros, 0, <usize>C << 2);
  const rows = (h + 1) >> 1, columns = (w + 1) >> 1;
  for (let first = from; first < to; first += T) {
    const count = min(T, to - first);
    transformTiles(x, v, plane(T, C), zeros, first, count, rows, columns, H, W, C, top, left);
    for (let e = 0; e < 16; e++) {
      product(
        v + <usize>e * plane(T, C), <usize>C << 2, 4,
        u + <usize>e * plane(C, N), <usize>C << 5, 32,
        m + <usize>e * plane(T, N), <usize>N << 2, (count + 3) & ~3, C, N >> 3, false,
      );
    }
    gatherOutputs(m, plane(T, N), y, bias, first, count, rows, columns, h, w, K, N, K);
  }
}

/** Bytes of scratch memory for `transformImage`. */
export function transformImageScratchBytes(C: i32): i32 {
  return C * 4;
}

/** All tiles of x in the products' form, [16, tiles, C], the number of tiles rounded up to 4. Items: tiles. */
export function transformImage(
  x: usize, v: usize, tiles: i32, H: i32, W: i32, C: i32, h: i32, w: i32, top: i32, left: i32, scratch: usize, from: i32, to: i32,
): void {
  const bytes = <usize>C << 2;
  memory.fill(scratch, 0, bytes);
  transformTiles(x, v + <usize>from * bytes, plane(fours(tiles), C), scratch, from, to - from, (h + 1) >> 1, (w + 1) >> 1, H, W, C, top, left);
}

/** Bytes of scratch memory for `convolveByChannels`. */
export function byChannelsScratchBytes(tiles: i32): i32 {
  return <i32>(16 * (plane(DEPTH, CHANNELS) + plane(fours(tiles), CHANNELS)));
}

/**
 * y = x * w + bias, the same numbers as `convolve` gives: for few tiles and large kernels, which are read once and as they
 * are. Items: channels out; ranges begin at multiples of 4.
 *
 * @param v From `transformImage`. @param kernels [3, 3, C, K], or [3, 3, K, C] if `turned`: the input gradient's.
 * @param bias K floats, or 0 for none. @param scratch `byChannelsScratchBytes(tiles)`.
 */
export function convolveByChannels(
  v: usize, kernels: usize, turned: bool, bias: usize, y: usize, tiles: i32, C: i32, h: i32, w: i32, K: i32,
  scratch: usize, from: i32, to: i32,
): void {
  const rows = fours(tiles);
  const u = scratch;
  const m = u + 16 * plane(DEPTH, CHANNELS);
  for (let k = from; k < to; k += CHANNELS) {
    const width = min(CHANNELS, to - k);
    const N = padded(width);
    const each = plane(rows, N);
    const skipped = <usize>k << 2;
    for (let c = 0; c < C; c += DEPTH) {
      const depth = min(DEPTH, C - c);
      if (turned) transformTurnedKernels(kernels + (<usize>(k * C + c) << 2), u, K, C, depth, depth, width);
      else transformKernels(kernels + (<usize>(c * K + k) << 2), u, C, K, depth, depth, width);
      for (let e = 0; e < 16; e++) {
        product(
          v + <usize>e * plane(rows, C) + (<usize>c << 2), <usize>C << 2, 4,
          u + <usize>e * plane(depth, N), <usize>depth << 5, 32,
          m + <usize>e * each, <usize>N << 2, rows, depth, N >> 3, c > 0,
        );
      }
    }
    gatherOutputs(m, each, y + skipped, bias ? bias + skipped : 0, 0, tiles, (h + 1) >> 1, (w + 1) >> 1, h, w, K, N, width);
  }
}

@inline function fours(n: i32): i32 { return (n + 3) & ~3; }

/**
 * Parts of the gradient of the transformed kernels, each the sum over some of the tiles. Items: parts, of `parts` equal ones.
 *
 * @param u [parts, 16, C, N]. @param scratch `convolveScratchBytes(C, K)`.
 */
export function weightGradient(
  x: usize, dy: usize, u: usize, parts: i32, B: i32, H: i32, W: i32, C: i32, h: i32, w: i32, K: i32, top: i32, left: i32,
  scratch: usize, from: i32, to: i32,
): void {
  const N = padded(K);
  const v = scratch;
  const m = v + 16 * plane(T, C);
  const zeros = m + 16 * plane(T, N);
  memory.fill(m, 0, 16 * plane(T, N));
  memory.fill(zeros, 0, <usize>max(C, K) << 2);
  const rows = (h + 1) >> 1, columns = (w + 1) >> 1;
  const tiles = B * rows * columns;
  const share = (tiles + parts - 1) / parts;
  for (let part = from; part < to; part++) {
    const sum = u + <usize>(part * 16) * plane(C, N);
    const begin = min(tiles, part * share);
    const end = min(tiles, begin + share);
    if (begin === end) memory.fill(sum, 0, 16 * plane(C, N));
    for (let first = begin; first < end; first += T) {
      const count = min(T, end - first);
      transformTiles(x, v, plane(T, C), zeros, first, count, rows, columns, H, W, C, top, left);
      spreadGradients(dy, m, zeros, first, count, rows, columns, h, w, K, N);
      for (let e = 0; e < 16; e++) {
        product(
          v + <usize>e * plane(T, C), 4, <usize>C << 2,
          m + <usize>e * plane(T, N), 32, <usize>N << 2,
          sum + <usize>e * plane(C, N), <usize>N << 2, C, count, N >> 3, first > begin,
        );
      }
    }
  }
}

/**
 * dw [3, 3, C, K] from parts of `weightGradient`, which are added up in their order into the first. Items: channels in.
 *
 * @param u [parts, 16, C, N].
 */
export function foldWeightGradient(u: usize, dw: usize, parts: i32, C: i32, K: i32, scratch: usize, from: i32, to: i32): void {
  const N = padded(K);
  const each = plane(C, N);
  const tap = <usize>(C * K) << 2;
  for (let c = from; c < to; c++) {
    for (let e = 0; e < 16; e++) addParts(u + <usize>e * each + (<usize>(c * N) << 2), each << 4, parts, N);
    // dw = Gt du G
    for (let k = 0; k < K; k += 4) {
      const p = u + (<usize>(c * N + k) << 2);
      const target = dw + (<usize>(c * K + k) << 2);
      for (let s = 0; s < 3; s++) {
        // one column of Gt du, s-th of G
        const r0 = foldRow(p, each, s), r1 = foldRow(p + 4 * each, each, s), r2 = foldRow(p + 8 * each, each, s), r3 = foldRow(p + 12 * each, each, s);
        const half = f32x4.splat(0.5);
        const sum = f32x4.mul(half, add(r1, r2)), difference = f32x4.mul(half, sub(r1, r2));
        const o = target + <usize>s * tap;
        v128.store(o, add(r0, sum));
        v128.store(o + 3 * tap, difference);
        v128.store(o + 6 * tap, add(sum, r3));
      }
    }
  }
}

/** Adds vectors of N numbers, `step` bytes apart, to the first. */
@inline function addParts(first: usize, step: usize, parts: i32, N: i32): void {
  for (let p = first; p < first + (<usize>N << 2); p += 16) {
    let sum = v128.load(p);
    for (let part = 1, q = p + step; part < parts; part++, q += step) sum = add(sum, v128.load(q));
    v128.store(p, sum);
  }
}

/** The s-th number of a row of four, times G. */
@inline function foldRow(p: usize, each: usize, s: i32): v128 {
  const half = f32x4.splat(0.5);
  const b = v128.load(p + each), c = v128.load(p + 2 * each);
  if (s === 0) return add(v128.load(p), f32x4.mul(half, add(b, c)));
  if (s === 1) return f32x4.mul(half, sub(b, c));
  return add(f32x4.mul(half, add(b, c)), v128.load(p + 3 * each));
}

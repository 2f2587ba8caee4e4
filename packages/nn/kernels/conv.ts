// Convolution of any kernel, stride and padding: patches of a few positions at a time, then products. In memory that is not
// ours. Shapes: B images, H W input sides, h w output sides, kh kw kernel sides, C channels in, K channels out,
// P = kh kw C numbers of a patch.
import { EDGE, pack, padded, productOfAnySize } from './product';

/** Positions at a time: their patches stay in the second-level cache. */
const RUN: i32 = 32;

/** Bytes of scratch memory for `convolvePatches` and `patchesInputGradient`. */
export function patchesScratchBytes(P: i32): i32 {
  return <i32>EDGE + RUN * P * 4;
}

/** Bytes of scratch memory for `patchesWeightGradient`. */
export function patchesWeightScratchBytes(P: i32, K: i32): i32 {
  return patchesScratchBytes(P) + RUN * padded(K) * 4;
}

/**
 * y[B, h, w, K] = x[B, H, W, C] * w + bias. Items: rows of all images of y, B h.
 *
 * @param panels Of w[P, K]. @param bias K rounded up to 8 numbers, or 0.
 */
export function convolvePatches(
  x: usize, panels: usize, bias: usize, y: usize, H: i32, W: i32, C: i32, h: i32, w: i32, K: i32, kh: i32, kw: i32,
  stride: i32, top: i32, left: i32, scratch: usize, from: i32, to: i32,
): void {
  const P = kh * kw * C;
  const patches = scratch + EDGE;
  const row = <usize>K << 2;
  const end = to * w;
  for (let first = from * w; first < end; first += RUN) {
    const run = min(RUN, end - first);
    gatherPatches(x, patches, first, run, H, W, C, h, w, kh, kw, stride, top, left);
    productOfAnySize(patches, <usize>P << 2, 4, panels, y + <usize>first * row, row, run, P, K, false, bias, scratch);
  }
}

/**
 * dx[B, H, W, C] from dy[B, h, w, K]. Items: images.
 *
 * @param panels Of wᵀ[K, P].
 */
export function patchesInputGradient(
  dy: usize, panels: usize, dx: usize, H: i32, W: i32, C: i32, h: i32, w: i32, K: i32, kh: i32, kw: i32,
  stride: i32, top: i32, left: i32, scratch: usize, from: i32, to: i32,
): void {
  const P = kh * kw * C;
  const patches = scratch + EDGE;
  const image = <usize>(H * W * C) << 2;
  memory.fill(dx + <usize>from * image, 0, <usize>(to - from) * image);
  const end = to * h * w;
  for (let first = from * h * w; first < end; first += RUN) {
    const run = min(RUN, end - first);
    const source = dy + (<usize>(first * K) << 2);
    productOfAnySize(source, <usize>K << 2, 4, panels, patches, <usize>P << 2, run, K, P, false, 0, scratch);
    scatterPatches(patches, dx, first, run, H, W, C, h, w, kh, kw, stride, top, left);
  }
}

/**
 * Parts of dw[P, K], each the sum over some of the positions. Items: parts, of `parts` equal ones.
 *
 * @param dw [parts, P, K].
 */
export function patchesWeightGradient(
  x: usize, dy: usize, dw: usize, parts: i32, B: i32, H: i32, W: i32, C: i32, h: i32, w: i32, K: i32, kh: i32, kw: i32,
  stride: i32, top: i32, left: i32, scratch: usize, from: i32, to: i32,
): void {
  const P = kh * kw * C;
  const patches = scratch + EDGE;
  const panels = patches + (<usize>(RUN * P) << 2);
  const positions = B * h * w;
  const share = (positions + parts - 1) / parts;
  for (let part = from; part < to; part++) {
    const out = dw + (<usize>(part * P * K) << 2);
    const begin = min(positions, part * share);
    const end = min(positions, begin + share);
    if (begin === end) memory.fill(out, 0, <usize>(P * K) << 2);
    for (let first = begin; first < end; first += RUN) {
      const run = min(RUN, end - first);
      gatherPatches(x, patches, first, run, H, W, C, h, w, kh, kw, stride, top, left);
      pack(dy + (<usize>(first * K) << 2), <usize>K << 2, panels, run, K, 0, padded(K) >> 3);
      productOfAnySize(patches, 4, <usize>P << 2, panels, out, <usize>K << 2, P, run, K, first > begin, 0, scratch);
    }
  }
}

/** out[n] = the sum of `parts` vectors [parts, n], in their order. Items: numbers. */
export function sumParts(parts: usize, out: usize, count: i32, n: i32, scratch: usize, from: i32, to: i32): void {
  const each = <usize>n << 2;
  let i = from;
  for (; i + 4 <= to; i += 4) {
    let p = parts + (<usize>i << 2);
    let sum = v128.load(p);
    for (let part = 1; part < count; part++) {
      p += each;
      sum = f32x4.add(sum, v128.load(p));
    }
    v128.store(out + (<usize>i << 2), sum);
  }
  for (; i < to; i++) {
    let p = parts + (<usize>i << 2);
    let sum = load<f32>(p);
    for (let part = 1; part < count; part++) {
      p += each;
      sum += load<f32>(p);
    }
    store<f32>(out + (<usize>i << 2), sum);
  }
}

/** Patches [run, P] that positions `first` … `first + run` see; zero outside of the image. */
function gatherPatches(
  x: usize, patches: usize, first: i32, run: i32, H: i32, W: i32, C: i32, h: i32, w: i32, kh: i32, kw: i32,
  stride: i32, top: i32, left: i32,
): void {
  const rowBytes = <usize>(kw * C) << 2;
  let to = patches;
  for (let n = first; n < first + run; n++) {
    const j = n % w, i = (n / w) % h;
    const image = x + (<usize>(n / (w * h)) * <usize>(H * W * C) << 2);
    const column = j * stride - left;
    const skip = max(0, -column); // columns before the image
    const wide = max(0, min(kw, W - column) - skip);
    for (let r = 0; r < kh; r++, to += rowBytes) {
      const y = i * stride - top + r;
      if (<u32>y >= <u32>H || wide === 0) {
        memory.fill(to, 0, rowBytes);
        continue;
      }
      if (wide < kw) memory.fill(to, 0, rowBytes);
      copy(to + (<usize>(skip * C) << 2), image + (<usize>((y * W + column + skip) * C) << 2), wide * C);
    }
  }
}

/** Adds patches to the image they came from. */
function scatterPatches(
  patches: usize, dx: usize, first: i32, run: i32, H: i32, W: i32, C: i32, h: i32, w: i32, kh: i32, kw: i32,
  stride: i32, top: i32, left: i32,
): void {
  const rowBytes = <usize>(kw * C) << 2;
  let from = patches;
  for (let n = first; n < first + run; n++) {
    const j = n % w, i = (n / w) % h;
    const image = dx + (<usize>(n / (w * h)) * <usize>(H * W * C) << 2);
    const column = j * stride - left;
    const skip = max(0, -column);
    const wide = max(0, min(kw, W - column) - skip);
    for (let r = 0; r < kh; r++, from += rowBytes) {
      const y = i * stride - top + r;
      if (<u32>y >= <u32>H || wide === 0) continue;
      accumulate(image + (<usize>((y * W + column + skip) * C) << 2), from + (<usize>(skip * C) << 2), wide * C);
    }
  }
}

@inline function copy(to: usize, from: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, to += 16, from += 16) v128.store(to, v128.load(from));
  for (; i < n; i++, to += 4, from += 4) store<f32>(to, load<f32>(from));
}

@inline function accumulate(to: usize, from: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4, to += 16, from += 16) v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
  for (; i < n; i++, to += 4, from += 4) store<f32>(to, load<f32>(to) + load<f32>(from));
}

// What one core can do at most in WebAssembly SIMD, in AssemblyScript.

/** Twelve independent chains of multiply and add, which hide the latency of both: 96 operations per round. */
export function multiplyAdd(rounds: i32): f32 {
  const factor = f32x4.splat(0.999), shift = f32x4.splat(0.001);
  let a = factor, b = factor, c = factor, d = factor, e = factor, f = factor;
  let g = factor, h = factor, i = factor, j = factor, k = factor, l = factor;
  for (let n = 0; n < rounds; n++) {
    a = f32x4.add(f32x4.mul(a, factor), shift); b = f32x4.add(f32x4.mul(b, factor), shift);
    c = f32x4.add(f32x4.mul(c, factor), shift); d = f32x4.add(f32x4.mul(d, factor), shift);
    e = f32x4.add(f32x4.mul(e, factor), shift); f = f32x4.add(f32x4.mul(f, factor), shift);
    g = f32x4.add(f32x4.mul(g, factor), shift); h = f32x4.add(f32x4.mul(h, factor), shift);
    i = f32x4.add(f32x4.mul(i, factor), shift); j = f32x4.add(f32x4.mul(j, factor), shift);
    k = f32x4.add(f32x4.mul(k, factor), shift); l = f32x4.add(f32x4.mul(l, factor), shift);
  }
  const left = f32x4.add(f32x4.add(f32x4.add(a, b), f32x4.add(c, d)), f32x4.add(e, f));
  const right = f32x4.add(f32x4.add(f32x4.add(g, h), f32x4.add(i, j)), f32x4.add(k, l));
  return f32x4.extract_lane(f32x4.add(left, right), 0);
}

/** Reads `bytes` (a multiple of 64) and writes them elsewhere. */
export function copy(from: usize, to: usize, bytes: usize): void {
  for (const end = from + bytes; from < end; from += 64, to += 64) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
    v128.store(to, v128.load(from, 32), 32);
    v128.store(to, v128.load(from, 48), 48);
  }
}

/** Makes room for so many bytes; 0 on success. */
export function reserve(bytes: i32): i32 {
  return memory.grow((bytes + 65535) >>> 16) < 0 ? 1 : 0;
}

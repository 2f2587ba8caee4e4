// Functions that WebAssembly lacks, of four numbers at once. A NaN gives a NaN.
// Their constants are read from a table in scratch memory: V8 keeps none in a register over a loop, and to make one anew
// takes longer than to load it.

@inline function add(a: v128, b: v128): v128 { return f32x4.add(a, b); }
@inline function sub(a: v128, b: v128): v128 { return f32x4.sub(a, b); }
@inline function mul(a: v128, b: v128): v128 { return f32x4.mul(a, b); }
@inline function at(table: usize, offset: usize): v128 { return v128.load32_splat(table + offset); }

/** Bytes of the table. */
export const TABLE: usize = 96;

/** Writes the table: once per call of a kernel, before the functions below. */
export function putTable(table: usize): void {
  store<f32>(table, 89);
  store<f32>(table, 1.44269504, 4); // 1 / ln 2
  store<f32>(table, 12582911, 8); // 1.5 * 2^23 - 1: added to a number, it rounds it to an integer n, with n - 1 in the lowest bits
  store<f32>(table, 0.693359375, 12); // ln 2 in two parts, the first of few bits
  store<f32>(table, -2.12194440e-4, 16);
  store<f32>(table, 1.9875691500e-4, 20); // (e^r - 1 - r) / r^2
  store<f32>(table, 1.3981999507e-3, 24);
  store<f32>(table, 8.3334519073e-3, 28);
  store<f32>(table, 4.1665795894e-2, 32);
  store<f32>(table, 1.6666665459e-1, 36);
  store<f32>(table, 5.0000001201e-1, 40);
  store<f32>(table, 1, 44);
  store<f32>(table, -86.64, 48);
  store<f32>(table, -0.5, 52);
  store<f32>(table, 0.5, 56);
  store<f32>(table, 0.32, 60); // a minimax fit of (1/2 - Phi(-a) / e^(-a^2 / 2)) (1 + 0.32 a) / a in 1 / (1 + 0.32 a)
  store<f32>(table, 1.4362795e-02, 64);
  store<f32>(table, -6.181422e-02, 68);
  store<f32>(table, 6.83115e-02, 72);
  store<f32>(table, 1.3926251e-02, 76);
  store<f32>(table, 8.608172e-02, 80);
  store<f32>(table, 1.18006356e-01, 84);
  store<f32>(table, 1.6006762e-01, 88);
  store<f32>(table, 20, 92);
}

/** e^x to 1 ulp; 0 below e^-86.64 = 2.4e-38, Infinity above the largest float32. */
@inline export function exp4(x: v128, table: usize): v128 {
  const t = f32x4.pmin(x, at(table, 0));
  const rounded = add(mul(t, at(table, 4)), at(table, 8));
  const n = sub(rounded, at(table, 8)); // x / ln 2, to the nearest
  const r = sub(sub(t, mul(n, at(table, 12))), mul(n, at(table, 16))); // |r| <= ln 2 / 2
  let p = add(mul(at(table, 20), r), at(table, 24));
  p = add(mul(p, r), at(table, 28));
  p = add(mul(p, r), at(table, 32));
  p = add(mul(p, r), at(table, 36));
  p = add(mul(p, r), at(table, 40));
  p = add(add(mul(p, mul(r, r)), r), at(table, 44));
  // Half of it first: 2^128 has no place in an exponent.
  const half = i32x4.add(p, i32x4.shl(rounded, 23));
  return v128.andnot(add(half, half), f32x4.lt(x, at(table, 48)));
}

/** 1 / (1 + e^-x). */
@inline export function sigmoid4(x: v128, table: usize): v128 {
  const one = at(table, 44);
  return f32x4.div(one, add(one, exp4(f32x4.neg(x), table)));
}

/** e^(-x^2 / 2). */
@inline export function bell4(x: v128, table: usize): v128 {
  return exp4(mul(mul(x, x), at(table, 52)), table);
}

/** The normal distribution function to 1e-7, from x and bell4(x). */
@inline export function normalCdf4(x: v128, bell: v128, table: usize): v128 {
  const a = f32x4.pmin(f32x4.abs(x), at(table, 92));
  const t = f32x4.div(at(table, 44), add(mul(a, at(table, 60)), at(table, 44)));
  let p = add(mul(at(table, 64), t), at(table, 68));
  p = add(mul(p, t), at(table, 72));
  p = add(mul(p, t), at(table, 76));
  p = add(mul(p, t), at(table, 80));
  p = add(mul(p, t), at(table, 84));
  p = add(mul(p, t), at(table, 88));
  const below = mul(sub(at(table, 56), mul(p, mul(a, t))), bell); // Phi(-a)
  return v128.bitselect(sub(at(table, 44), below), below, f32x4.gt(x, f32x4.splat(0)));
}

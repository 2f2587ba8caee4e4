// Activations, number by number, in memory that is not ours.
import { load4, store4 } from './lanes';
import { bell4, normalCdf4, putTable, sigmoid4, TABLE } from './math';

@inline function add(a: v128, b: v128): v128 { return f32x4.add(a, b); }
@inline function sub(a: v128, b: v128): v128 { return f32x4.sub(a, b); }
@inline function mul(a: v128, b: v128): v128 { return f32x4.mul(a, b); }

/** Bytes of scratch memory for each function here. */
export function activationScratchBytes(): i32 {
  return <i32>TABLE;
}

/** y = x sigmoid(x). Items: numbers. */
export function silu(x: usize, y: usize, scratch: usize, from: i32, to: i32): void {
  putTable(scratch);
  for (let i = from; i < to; i += 4) {
    const at = <usize>i << 2;
    const v = load4(x + at, to - i);
    store4(y + at, mul(v, sigmoid4(v, scratch)), to - i);
  }
}

/** dx of `silu`. Items: numbers. */
export function siluGradient(dy: usize, x: usize, dx: usize, scratch: usize, from: i32, to: i32): void {
  putTable(scratch);
  const one = f32x4.splat(1);
  for (let i = from; i < to; i += 4) {
    const at = <usize>i << 2;
    const v = load4(x + at, to - i);
    const s = sigmoid4(v, scratch);
    const slope = mul(s, add(one, mul(v, sub(one, s))));
    store4(dx + at, mul(load4(dy + at, to - i), slope), to - i);
  }
}

/** y = x Phi(x). Items: numbers. */
export function gelu(x: usize, y: usize, scratch: usize, from: i32, to: i32): void {
  putTable(scratch);
  for (let i = from; i < to; i += 4) {
    const at = <usize>i << 2;
    const v = load4(x + at, to - i);
    store4(y + at, mul(v, normalCdf4(v, bell4(v, scratch), scratch)), to - i);
  }
}

/** dx of `gelu`. Items: numbers. */
export function geluGradient(dy: usize, x: usize, dx: usize, scratch: usize, from: i32, to: i32): void {
  putTable(scratch);
  for (let i = from; i < to; i += 4) {
    const at = <usize>i << 2;
    const v = load4(x + at, to - i);
    const bell = bell4(v, scratch);
    const slope = geluSlope(v, bell, normalCdf4(v, bell, scratch));
    store4(dx + at, mul(load4(dy + at, to - i), slope), to - i);
  }
}

/** y[N, F] = value gelu(gate) of x[N, 2 F] = [value, gate]. Items: rows. */
export function gate(x: usize, y: usize, F: i32, scratch: usize, from: i32, to: i32): void {
  putTable(scratch);
  const half = <usize>F << 2;
  for (let i = from; i < to; i++) {
    const value = x + <usize>(2 * i) * half;
    const out = y + <usize>i * half;
    for (let c = 0; c < F; c += 4) {
      const at = <usize>c << 2;
      const g = load4(value + half + at, F - c);
      const gated = mul(g, normalCdf4(g, bell4(g, scratch), scratch));
      store4(out + at, mul(load4(value + at, F - c), gated), F - c);
    }
  }
}

/** dx[N, 2 F] of `gate`, from dy[N, F]. Items: rows. */
export function gateGradient(dy: usize, x: usize, dx: usize, F: i32, scratch: usize, from: i32, to: i32): void {
  putTable(scratch);
  const half = <usize>F << 2;
  for (let i = from; i < to; i++) {
    const row = <usize>(2 * i) * half;
    const source = dy + <usize>i * half;
    for (let c = 0; c < F; c += 4) {
      const at = <usize>c << 2;
      const d = load4(source + at, F - c);
      const g = load4(x + row + half + at, F - c);
      const bell = bell4(g, scratch);
      const phi = normalCdf4(g, bell, scratch);
      store4(dx + row + at, mul(d, mul(g, phi)), F - c);
      const slope = geluSlope(g, bell, phi);
      store4(dx + row + half + at, mul(mul(d, load4(x + row + at, F - c)), slope), F - c);
    }
  }
}

/** Phi(x) + x phi(x). */
@inline function geluSlope(x: v128, bell: v128, phi: v128): v128 {
  return add(phi, mul(x, mul(bell, f32x4.splat(0.39894228)))); // 1 / sqrt(2 pi)
}

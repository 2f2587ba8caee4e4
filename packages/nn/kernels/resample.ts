// Nearest upsampling and sums over rows, in memory that is not ours.
import { load4, store4 } from './lanes';

/** y[B, 2 H, 2 W, C]: each pixel of x[B, H, W, C] four times. Items: rows of pixels of x, B H. */
export function upsample2x(x: usize, y: usize, W: i32, C: i32, scratch: usize, from: i32, to: i32): void {
  const pixel = <usize>C << 2;
  const line = <usize>(2 * W) * pixel; // of y
  let p = x + <usize>from * (line >> 1);
  let q = y + <usize>(2 * from) * line;
  for (let i = from; i < to; i++, q += line) {
    for (let j = 0; j < W; j++, p += pixel, q += 2 * pixel) {
      for (let c = 0; c < C; c += 4) {
        const at = <usize>c << 2;
        const v = load4(p + at, C - c);
        store4(q + at, v, C - c);
        store4(q + pixel + at, v, C - c);
        store4(q + line + at, v, C - c);
        store4(q + line + pixel + at, v, C - c);
      }
    }
  }
}

/** dx of `upsample2x`: sums of four pixels. Items: rows of pixels of dx, B H. */
export function upsample2xGradient(dy: usize, dx: usize, W: i32, C: i32, scratch: usize, from: i32, to: i32): void {
  const pixel = <usize>C << 2;
  const line = <usize>(2 * W) * pixel;
  let p = dx + <usize>from * (line >> 1);
  let q = dy + <usize>(2 * from) * line;
  for (let i = from; i < to; i++, q += line) {
    for (let j = 0; j < W; j++, p += pixel, q += 2 * pixel) {
      for (let c = 0; c < C; c += 4) {
        const at = q + (<usize>c << 2);
        const above = f32x4.add(load4(at, C - c), load4(at + pixel, C - c));
        const below = f32x4.add(load4(at + line, C - c), load4(at + line + pixel, C - c));
        store4(p + (<usize>c << 2), f32x4.add(above, below), C - c);
      }
    }
  }
}

/** Rows that make one sum of `sumRows`. */
const RUN: i32 = 64;

/** Parts that `sumRows` makes of N rows. */
export function sumRowsParts(N: i32): i32 {
  return (N + RUN - 1) / RUN;
}

/** out[parts, D]: sums of so many rows of x[N, D] each. Items: parts. */
export function sumRows(x: usize, out: usize, N: i32, D: i32, scratch: usize, from: i32, to: i32): void {
  const row = <usize>D << 2;
  for (let part = from; part < to; part++) {
    const o = out + <usize>part * row;
    memory.fill(o, 0, row);
    const end = min(N, part * RUN + RUN);
    let i = part * RUN;
    for (; i + 4 <= end; i += 4) {
      const p = x + <usize>i * row;
      for (let c = 0; c < D; c += 4) {
        const q = p + (<usize>c << 2), to = o + (<usize>c << 2);
        const one = f32x4.add(load4(q, D - c), load4(q + row, D - c));
        const two = f32x4.add(load4(q + 2 * row, D - c), load4(q + 3 * row, D - c));
        store4(to, f32x4.add(load4(to, D - c), f32x4.add(one, two)), D - c);
      }
    }
    for (; i < end; i++) {
      const p = x + <usize>i * row;
      for (let c = 0; c < D; c += 4) {
        const at = <usize>c << 2;
        store4(o + at, f32x4.add(load4(o + at, D - c), load4(p + at, D - c)), D - c);
      }
    }
  }
}

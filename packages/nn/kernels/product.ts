// The product that everything else is made of: 4 rows by 8 columns at a time, which is what 16 SIMD registers hold.

@inline function add(a: v128, b: v128): v128 { return f32x4.add(a, b); }

/**
 * 4 rows by 8 columns of a b, from zero, from what is there (`more`), or from eight numbers at `start`.
 *
 * @param a0 a1 a2 a3 Rows of a, whose numbers are `aStep` bytes apart.
 * @param b Eight columns, whose rows are `bStep` bytes apart. @param o0 o1 o2 o3 Rows of the result.
 */
@inline function tile(
  a0: usize, a1: usize, a2: usize, a3: usize, aStep: usize, b: usize, bStep: usize,
  o0: usize, o1: usize, o2: usize, o3: usize, depth: i32, more: bool, start: usize,
): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  if (more) {
    c00 = v128.load(o0); c01 = v128.load(o0, 16);
    c10 = v128.load(o1); c11 = v128.load(o1, 16);
    c20 = v128.load(o2); c21 = v128.load(o2, 16);
    c30 = v128.load(o3); c31 = v128.load(o3, 16);
  } else if (start) {
    c00 = v128.load(start); c01 = v128.load(start, 16);
    c10 = c00; c11 = c01; c20 = c00; c21 = c01; c30 = c00; c31 = c01;
  }
  let p0 = a0, p1 = a1, p2 = a2, p3 = a3, q = b;
  for (let k = 0; k < depth; k++) {
    const b0 = v128.load(q), b1 = v128.load(q, 16);
    let s = v128.load32_splat(p0);
    c00 = add(c00, f32x4.mul(s, b0)); c01 = add(c01, f32x4.mul(s, b1));
    s = v128.load32_splat(p1);
    c10 = add(c10, f32x4.mul(s, b0)); c11 = add(c11, f32x4.mul(s, b1));
    s = v128.load32_splat(p2);
    c20 = add(c20, f32x4.mul(s, b0)); c21 = add(c21, f32x4.mul(s, b1));
    s = v128.load32_splat(p3);
    c30 = add(c30, f32x4.mul(s, b0)); c31 = add(c31, f32x4.mul(s, b1));
    p0 += aStep; p1 += aStep; p2 += aStep; p3 += aStep; q += bStep;
  }
  v128.store(o0, c00); v128.store(o0, c01, 16);
  v128.store(o1, c10); v128.store(o1, c11, 16);
  v128.store(o2, c20); v128.store(o2, c21, 16);
  v128.store(o3, c30); v128.store(o3, c31, 16);
}

/**
 * out[rows, panels * 8] = a b.
 *
 * @param aRow aStep bPanel bStep outRow Bytes from one row of a to the next, from one factor to the next, …
 * @param rows A multiple of 4. @param more Adds to out instead.
 */
export function product(
  a: usize, aRow: usize, aStep: usize, b: usize, bPanel: usize, bStep: usize, out: usize, outRow: usize,
  rows: i32, depth: i32, panels: i32, more: bool,
): void {
  for (let p = 0; p < panels; p++) {
    const panel = b + <usize>p * bPanel;
    let ar = a;
    let o = out + (<usize>p << 5);
    for (let r = 0; r < rows; r += 4) {
      tile(ar, ar + aRow, ar + 2 * aRow, ar + 3 * aRow, aStep, panel, bStep, o, o + outRow, o + 2 * outRow, o + 3 * outRow, depth, more, 0);
      ar += aRow << 2;
      o += outRow << 2;
    }
  }
}

/** Bytes that `productOfAnySize` wants for tiles at the edges. */
export const EDGE: usize = 128;

/** Numbers of a that stay in the first-level cache while the panels of b go by. */
const BLOCK: i32 = 6144;

/** Columns rounded up to whole panels. */
@inline export function padded(columns: i32): i32 { return (columns + 7) & ~7; }

/**
 * out[rows, columns] = a b for any size, with b in panels [columns / 8, depth, 8].
 *
 * @param start Eight numbers per panel to start from, or 0. @param edge `EDGE` bytes of scratch memory.
 */
export function productOfAnySize(
  a: usize, aRow: usize, aStep: usize, b: usize, out: usize, outRow: usize,
  rows: i32, depth: i32, columns: i32, more: bool, start: usize, edge: usize,
): void {
  const step = max(4, (BLOCK / depth) & ~3);
  for (let first = 0; first < rows; first += step) {
    const end = min(rows, first + step);
    for (let column = 0; column < columns; column += 8) {
      const panel = b + (<usize>(column * depth) << 2);
      const from = start ? start + (<usize>column << 2) : 0;
      const wide = min(8, columns - column);
      for (let r = first; r < end; r += 4) {
        const high = min(4, end - r);
        const a0 = a + <usize>r * aRow;
        const a1 = high > 1 ? a0 + aRow : a0, a2 = high > 2 ? a1 + aRow : a0, a3 = high > 3 ? a2 + aRow : a0;
        const o = out + <usize>r * outRow + (<usize>column << 2);
        if (high === 4 && wide === 8) {
          tile(a0, a1, a2, a3, aStep, panel, 32, o, o + outRow, o + 2 * outRow, o + 3 * outRow, depth, more, from);
          continue;
        }
        const bytes = <usize>wide << 2;
        if (more) for (let i = 0; i < high; i++) memory.copy(edge + (<usize>i << 5), o + <usize>i * outRow, bytes);
        tile(a0, a1, a2, a3, aStep, panel, 32, edge, edge + 32, edge + 64, edge + 96, depth, more, from);
        for (let i = 0; i < high; i++) memory.copy(o + <usize>i * outRow, edge + (<usize>i << 5), bytes);
      }
    }
  }
}

/** Panels `from` … `to` of b[depth, columns], `row` bytes from row to row: [depth, 8] each, zero past the last column. */
export function pack(b: usize, row: usize, panels: usize, depth: i32, columns: i32, from: i32, to: i32): void {
  const each = <usize>depth << 5;
  let p = from;
  // Four panels at a time, so that the lines of memory that b comes in are read whole.
  for (const end = min(to, columns >> 3); p + 4 <= end; p += 4) {
    let source = b + (<usize>p << 5);
    let target = panels + <usize>p * each;
    for (let k = 0; k < depth; k++, source += row, target += 32) {
      move8(source, target);
      move8(source + 32, target + each);
      move8(source + 64, target + 2 * each);
      move8(source + 96, target + 3 * each);
    }
  }
  for (; p < to; p++) {
    const wide = min(8, columns - (p << 3));
    let source = b + (<usize>p << 5);
    let target = panels + <usize>p * each;
    if (wide === 8) {
      for (let k = 0; k < depth; k++, source += row, target += 32) move8(source, target);
    } else {
      const bytes = <usize>wide << 2;
      for (let k = 0; k < depth; k++, source += row, target += 32) {
        memory.fill(target, 0, 32);
        memory.copy(target, source, bytes);
      }
    }
  }
}

@inline function move8(from: usize, to: usize): void {
  const first = v128.load(from), second = v128.load(from, 16);
  v128.store(to, first);
  v128.store(to, second, 16);
}

/** The same panels of bᵀ, b[columns, depth]. */
export function packTransposed(b: usize, row: usize, panels: usize, depth: i32, columns: i32, from: i32, to: i32): void {
  for (let p = from; p < to; p++) {
    const wide = min(8, columns - (p << 3));
    const target = panels + (<usize>(p * depth) << 5);
    if (wide < 8) memory.fill(target, 0, <usize>depth << 5);
    for (let n = 0; n < wide; n++) {
      let source = b + <usize>((p << 3) + n) * row;
      let to = target + (<usize>n << 2);
      for (let k = 0; k < depth; k++, source += 4, to += 32) store<f32>(to, load<f32>(source));
    }
  }
}

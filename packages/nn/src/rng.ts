/** Where an `Rng` stands: JSON, 64-bit key in two halves and the number of 32-bit words drawn. */
export type RngState = { readonly key: readonly [number, number]; readonly cursor: number };

/**
 * Random numbers from an address instead of a hidden state.
 *
 * `createRng('train', 7)` names a stream; `fork` names another below it and does not move this one, so
 * `createRng(a).fork(b)` is `createRng(a, b)`. Drawing moves a cursor along the stream.
 */
export type Rng = {
  /** Another stream, addressed below this one, whatever has been drawn here. */
  fork(...key: (number | string)[]): Rng;
  /** Integer in `[0, 2^32)`. */
  uint32(): number;
  /** Number in `[0, 1)` with 32 random bits. */
  uniform(): number;
  /** Standard normal (Box-Muller, two words). */
  normal(): number;
  /** Integer in `[0, n)`, unbiased; `n` from 1 to 2^32. */
  int(n: number): number;
  pick<T>(xs: readonly T[]): T;
  /** A shuffled copy (Fisher-Yates). */
  shuffle<T>(xs: readonly T[]): T[];
  /** Fills with standard normals and returns the array. */
  fillNormal(out: Float32Array): Float32Array;
  /** Fills with numbers in `[0, 1)` (24 random bits, so that 1 is never reached in float32) and returns the array. */
  fillUniform(out: Float32Array): Float32Array;
  state(): RngState;
};

/**
 * A stream of random numbers, the same on every machine, backend and batch size.
 *
 * @param key Address of the stream: numbers and strings, e.g. `('train', seed, step)`.
 * @see Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): Philox 4x32-10.
 */
export function createRng(...key: (number | string)[]): Rng {
  return rngAt(key.reduce(absorb, ROOT), 0);
}

/** The stream as it stood when `state()` was called. */
export function restoreRng(state: RngState): Rng {
  return rngAt(state.key, state.cursor);
}

type Key = readonly [number, number];

const ROOT: Key = [0x5364696f, 0x66666772];

function rngAt(key: Key, start: number): Rng {
  let cursor = start;
  let block: readonly number[] = [];
  let blockIndex = -1;

  function uint32(): number {
    const index = Math.floor(cursor / 4);
    if (index !== blockIndex) {
      block = philox4x32([index >>> 0, Math.floor(index / 4294967296), 0, 0], key);
      blockIndex = index;
    }
    return block[cursor++ % 4]!;
  }

  // Half a step up, so that the logarithm is finite.
  const radius = (): number => Math.sqrt(-2 * Math.log((uint32() + 0.5) / 4294967296));
  const angle = (): number => (2 * Math.PI * uint32()) / 4294967296;

  function int(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 4294967296) {
      throw new TypeError(`Rng.int: expected an integer from 1 to 2^32, received ${n}.`);
    }
    const limit = 4294967296 - (4294967296 % n);
    for (;;) {
      const word = uint32();
      if (word < limit) return word % n;
    }
  }

  return {
    fork: (...path) => rngAt(path.reduce(absorb, key), 0),
    uint32,
    uniform: () => uint32() / 4294967296,
    normal: () => radius() * Math.cos(angle()),
    int,
    pick<T>(xs: readonly T[]): T {
      if (xs.length === 0) throw new TypeError('Rng.pick: expected at least one element, received none.');
      return xs[int(xs.length)]!;
    },
    shuffle<T>(xs: readonly T[]): T[] {
      const out = [...xs];
      for (let i = out.length - 1; i > 0; i--) {
        const j = int(i + 1);
        [out[i], out[j]] = [out[j]!, out[i]!];
      }
      return out;
    },
    fillNormal(out) {
      for (let i = 0; i < out.length; i += 2) {
        const r = radius();
        const a = angle();
        out[i] = r * Math.cos(a);
        if (i + 1 < out.length) out[i + 1] = r * Math.sin(a);
      }
      return out;
    },
    fillUniform(out) {
      for (let i = 0; i < out.length; i++) out[i] = (uint32() >>> 8) / 16777216;
      return out;
    },
    state: () => ({ key, cursor }),
  };
}

/** A new key from a key and one part of an address. Numbers and strings never collide: the tag differs. */
function absorb(key: Key, part: number | string): Key {
  if (typeof part === 'number') {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, part === 0 ? 0 : part); // -0 is 0
    const [a, b] = philox4x32([view.getUint32(0), view.getUint32(4), 0, 1], key);
    return [a!, b!];
  }
  const bytes = new TextEncoder().encode(part);
  let next: Key = key;
  for (let i = 0; i <= bytes.length; i += 8) {
    const word = (at: number): number =>
      ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>>
      0;
    const [a, b] = philox4x32([word(i), word(i + 4), bytes.length, 2], next);
    next = [a!, b!];
  }
  return next;
}

/** The block cipher: 128 random bits from a 128-bit counter and a 64-bit key. Exported for its known answers. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): number[] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const hi0 = mulHi(0xd2511f53, c0);
    const lo0 = Math.imul(0xd2511f53, c0) >>> 0;
    const hi1 = mulHi(0xcd9e8d57, c2);
    const lo1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (hi1 ^ c1 ^ k0) >>> 0;
    c1 = lo1;
    c2 = (hi0 ^ c3 ^ k1) >>> 0;
    c3 = lo0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Upper 32 bits of the product of two unsigned 32-bit numbers. */
function mulHi(a: number, b: number): number {
  const aLo = a & 0xffff;
  const aHi = a >>> 16;
  const bLo = b & 0xffff;
  const bHi = b >>> 16;
  const mid = aHi * bLo + ((aLo * bLo) >>> 16); // below 2^49: exact
  const low = aLo * bHi + (mid % 65536);
  return (aHi * bHi + Math.floor(mid / 65536) + Math.floor(low / 65536)) >>> 0;
}

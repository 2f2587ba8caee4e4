/**
 * Counter-based random numbers: the n-th number of a stream depends on the stream's address alone, so pictures do
 * not depend on the order in which they are drawn.
 *
 * @see Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox 4x32-10).
 */

/** A stream of random numbers. Its methods move a cursor; two streams with the same address give the same numbers. */
export type Random = {
  /** Uniform in `[0, 1)`, a multiple of 2^-32. */
  uniform(): number;
  /** Uniform in `[low, high)`. */
  range(low: number, high: number): number;
  /** Uniform integer in `[0, count)`. */
  int(count: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of the items, all equally likely. */
  pick<T>(items: readonly T[]): T;
  /** One of the items, `weights[i]` (non-negative, not all 0) giving the share of `items[i]`. */
  weighted<T>(items: readonly T[], weights: readonly number[]): T;
  /** The items in random order; the argument is left as it is. */
  shuffle<T>(items: readonly T[]): T[];
};

/** Four 32-bit words: the first is the cursor's, the other three say which stream it is. */
export type StreamAddress = readonly [key0: number, key1: number, stream0: number, stream1: number];

/** The stream at an address. */
export function createRandom([key0, key1, stream0, stream1]: StreamAddress): Random {
  let block = 0;
  let used = 4;
  let words: readonly number[] = [];
  const uint32 = (): number => {
    if (used === 4) {
      words = philox4x32([block, 0, stream0, stream1], [key0, key1]);
      block += 1;
      used = 0;
    }
    return words[used++];
  };
  const uniform = (): number => uint32() / 4294967296;
  const int = (count: number): number => Math.floor(uniform() * count);
  return {
    uniform,
    range: (low, high) => low + (high - low) * uniform(),
    int,
    chance: (probability) => uniform() < probability,
    pick: (items) => items[int(items.length)],
    weighted: (items, weights) => {
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      let left = uniform() * total;
      for (let i = 0; i < items.length; i++) {
        left -= weights[i];
        if (left < 0) return items[i];
      }
      return items[items.length - 1];
    },
    shuffle: (items) => {
      const shuffled = [...items];
      for (let i = shuffled.length - 1; i > 0; i--) {
        const j = int(i + 1);
        [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
      }
      return shuffled;
    },
  };
}

/** A 32-bit word for a list of numbers and strings (FNV-1a over their text), for addresses made of names. */
export function hashKey(key: readonly (number | string)[]): number {
  let hash = 0x811c9dc5;
  for (const character of key.map((part) => `${typeof part === 'number' ? '#' : '$'}${part}`).join('\u0000')) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  return hash >>> 0;
}

/** Philox 4x32 with 10 rounds: four random words for one counter under one key. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = multiply32(0xd2511f53, c0);
    const [high1, low1] = multiply32(0xcd9e8d57, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

// 64-bit product of two 32-bit words from 16-bit halves: plain numbers are exact up to 2^53 only.
function multiply32(a: number, b: number): [high: number, low: number] {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16); // below 2^33: exact
  const middle2 = aLow * bHigh + (middle % 65536);
  const high = aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(middle2 / 65536);
  return [high >>> 0, Math.imul(a, b) >>> 0];
}

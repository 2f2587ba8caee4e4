import * as tf from '@tensorflow/tfjs-core';

/** A weight to make: its path and shape in our tree. */
export type SeededEntry = {
  readonly path: string;
  readonly shape: readonly number[];
  /** Inputs that one output sums over; unless given, the product of all axes but the last. */
  readonly fanIn?: number;
};

/**
 * Numbers uniform in ±bound that depend on the name alone. `tools/golden/seeded.py` makes the very same, so that a
 * reference in PyTorch and a test here share a model of any size without a file between them.
 *
 * Element i is `fround((x / 2^31 − 1) · bound)` with `x = fmix32(i · 0x9E3779B9 + seed)` (the finaliser of MurmurHash3)
 * and the seed the 32-bit FNV-1a hash of the name in UTF-8.
 */
export function seededUniform(name: string, count: number, bound: number): Float32Array {
  const values = new Float32Array(count);
  let position = fnv1a(name);
  for (let i = 0; i < count; i++) {
    let x = position;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    values[i] = (((x ^ (x >>> 16)) >>> 0) / 0x80000000 - 1) * bound;
    position = (position + 0x9e3779b9) | 0;
  }
  return values;
}

/**
 * Weights for a model of random numbers, one at a time. By path and shape, the first that fits:
 *
 * - `…norm….weight` and `….variance` of one axis: 1 plus uniform ±0.3
 * - everything else of one axis or none, such as a bias: uniform ±0.1
 * - tables (`…embedding…`, two axes): uniform ±1
 * - matrices and convolutions: uniform ±sqrt(3 / fanIn), which keeps the variance of what they are fed
 *
 * @returns Path and values, row-major in `shape`; each is made when it is asked for.
 */
export function* seededWeights(entries: Iterable<SeededEntry>): Generator<[path: string, values: Float32Array]> {
  for (const entry of entries) yield [entry.path, seededWeight(entry)];
}

/** `seededWeights` as tensors, one at a time, for `treeFromPaths`. The caller disposes them. */
export function* seededTensors(entries: readonly SeededEntry[]): Generator<[path: string, tensor: tf.Tensor]> {
  for (const entry of entries) yield [entry.path, tf.tensor(seededWeight(entry), [...entry.shape], 'float32')];
}

function seededWeight({ path, shape, fanIn }: SeededEntry): Float32Array {
  const count = shape.reduce((product, n) => product * n, 1);
  if (shape.length === 1 && (/norm.*\.weight$/i.test(path) || path.endsWith('.variance'))) {
    return seededUniform(path, count, 0.3).map((u) => 1 + u);
  }
  if (shape.length <= 1) return seededUniform(path, count, 0.1);
  if (shape.length === 2 && /embedding/i.test(path)) return seededUniform(path, count, 1);
  const inputs = fanIn ?? shape.slice(0, -1).reduce((product, n) => product * n, 1);
  return seededUniform(path, count, Math.sqrt(3 / inputs));
}

function fnv1a(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash | 0;
}

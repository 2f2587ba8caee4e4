import type { Rng } from '../rng';
import type { CaseLog } from './case-log';
import { largestDifference } from './difference';
import { centralDifference, type Numbers, sizeOf } from './reference';

/** A gradient is measured along so many directions, each with its own share of the elements. */
const DIRECTIONS = 24;

/** A tensor that was read back. */
export type Output = { readonly shape: readonly number[]; readonly data: ArrayLike<number> };

type ByName<T> = Readonly<Record<string, T>>;

/** Shapes and values of the results, by name. @returns The largest relative error. */
export function compareValues(
  log: CaseLog,
  outputs: ByName<Output>,
  expected: ByName<Numbers>,
  tolerance: number,
): number {
  let largest = 0;
  for (const [name, { shape, data }] of Object.entries(expected)) {
    const output = outputs[name];
    const fits = output?.shape.join() === shape.join();
    log.check(`shape of ${name}`, fits, () => [listed(shape), output ? listed(output.shape) : 'no such result']);
    if (!output || !fits) return Infinity;
    const { error, index } = largestDifference(output.data, data);
    log.check(`value of ${name} at ${listed(position(index, shape))}`, error <= tolerance, () => [
      data[index],
      output.data[index],
    ]);
    largest = Math.max(largest, error);
  }
  return largest;
}

/**
 * Gradients of `loss` at `at`, by input, against its central differences.
 *
 * @returns The largest relative error.
 */
export function compareGradients(
  log: CaseLog,
  gradients: ByName<ArrayLike<number>>,
  loss: (inputs: ByName<Numbers>) => number,
  at: ByName<Numbers>,
  rng: Rng,
  tolerance: number,
): number {
  let largest = 0;
  for (const [name, gradient] of Object.entries(gradients)) {
    const { shape, data } = at[name];
    log.check(`size of the gradient of ${name}`, gradient.length === data.length, () => [data.length, gradient.length]);
    if (gradient.length !== data.length) return Infinity;
    const share = Math.ceil(data.length / DIRECTIONS);
    const count = Math.ceil(data.length / share);
    const directions = Array.from({ length: count }, (_, i) =>
      randomDirection(Math.min(share, data.length - i * share), rng.fork('direction', name, i)),
    );
    const expected = directions.map((direction, i) =>
      centralDifference((moved) => loss({ ...at, [name]: { shape, data: moved } }), data, direction, i * share),
    );
    const received = directions.map((direction, i) =>
      direction.reduce((sum, d, j) => sum + d * gradient[i * share + j], 0),
    );
    const { error, index } = largestDifference(received, Float64Array.from(expected));
    const where =
      share === 1
        ? listed(position(index, shape))
        : `elements ${index * share} to ${Math.min((index + 1) * share, data.length) - 1}`;
    log.check(`gradient of ${name}, ${where}`, error <= tolerance, () => [expected[index], received[index]]);
    largest = Math.max(largest, error);
  }
  return largest;
}

/** No element near zero, so that none is missed. */
function randomDirection(size: number, rng: Rng): Float64Array {
  return Float64Array.from({ length: size }, () => (0.5 + rng.uniform()) * (rng.int(2) === 0 ? 1 : -1));
}

/** `[2, 3]` */
export function listed(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}

/** Index of each axis of the element `index`. */
function position(index: number, shape: readonly number[]): number[] {
  return shape.map((n, axis) => Math.floor(index / sizeOf(shape.slice(axis + 1))) % n);
}

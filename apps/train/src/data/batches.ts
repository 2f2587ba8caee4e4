import { createRng } from '@sgdiff/nn';
import { CliError } from '../errors';
import type { PictureStore } from './picture-store';

/**
 * Which items step `step` sees: epochs of seeded shuffles, cut into batches. A function of its arguments alone,
 * so a resumed run continues where the unbroken one would be. Needs `count >= batchSize`.
 */
export function createBatchOrder(count: number, batchSize: number, seed: number): (step: number) => Int32Array {
  const perEpoch = Math.floor(count / batchSize);
  if (perEpoch === 0) {
    throw new CliError(
      `A batch of ${batchSize} needs at least as many samples, the data has ${count}. Prepare more, or use a smaller batch.`,
    );
  }
  let shuffledEpoch = -1;
  let order: Int32Array = new Int32Array(0);
  return (step) => {
    const epoch = Math.floor(step / perEpoch);
    if (epoch !== shuffledEpoch) {
      order = Int32Array.from(createRng(seed, 'order', epoch).shuffle(Array.from({ length: count }, (_, i) => i)));
      shuffledEpoch = epoch;
    }
    const first = (step % perEpoch) * batchSize;
    return order.slice(first, first + batchSize);
  };
}

/** Pixels of the given pictures in [-1, 1], `[B, H, W, 3]` flat. */
export function readPictures(store: PictureStore, indices: ArrayLike<number>): Float32Array {
  const size = store.size * store.size * 3;
  const out = new Float32Array(indices.length * size);
  for (let i = 0; i < indices.length; i++) store.readPixels(indices[i], out, i * size);
  return out;
}

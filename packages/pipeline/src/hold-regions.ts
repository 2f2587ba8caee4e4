// Shapes: B batch, h, w, C latent sides and channels.
import type { Denoiser } from '@sgdiff/sampler';
import * as tf from '@tensorflow/tfjs-core';

/**
 * Of each item of a batch, where it is drawn anew: `h * w` values from 0 to 1, rows from the top. Elsewhere it is as the item before it
 * in the batch. `undefined` where all of it is drawn.
 */
export type Regions = readonly (Float32Array | undefined)[];

/**
 * A denoiser of a batch in which items hold to others: outside its region, an item's prediction is that of the item before it.
 *
 * From the same noise, with the same noise in every step, such an item then is outside its region at every step what the item before it
 * is, whatever the sampler: a sampler's step is linear in the predictions (see `sampleInpainting`, which holds to what is known).
 *
 * @param regions One per item; the first has none.
 * @param known What is predicted for the first item, `[1, h, w, C]`, in place of what the network says: then its end is this. Borrowed.
 */
export function holdRegions(
  denoiser: Denoiser<tf.Tensor4D>,
  regions: Regions,
  [h, w]: readonly [h: number, w: number, C: number],
  known?: tf.Tensor4D,
): Denoiser<tf.Tensor4D> {
  if (known === undefined && regions.every((region) => region === undefined)) return denoiser;
  return (x, sigma, step) =>
    tf.tidy(() => {
      const drawn = tf.split<tf.Tensor4D>(denoiser(x, sigma, step), regions.length); // [1, h, w, C] each
      const held: tf.Tensor4D[] = [];
      for (const [i, own] of drawn.entries()) {
        const region = regions[i];
        const mask = region && tf.tensor4d(region, [1, h, w, 1]);
        if (mask) held.push(tf.add(tf.mul(own, mask), tf.mul(held[i - 1], tf.sub(1, mask))));
        else held.push(i === 0 && known ? known : own);
      }
      return tf.concat(held, 0);
    });
}

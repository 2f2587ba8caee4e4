// Shapes: B batch, H and W picture size.
import * as tf from '@tensorflow/tfjs-core';
import { convRelu, inceptionBlock } from './block';
import type { InceptionNetwork } from './fold';
import { BLOCKS, STEM } from './plan';

/** After which part of the network an activation can be looked at, by the name of its width. */
export type Tap = '64' | '192' | '768';

/** The last part before a tap. */
const TAP_AFTER: Readonly<Record<string, Tap>> = { conv2b: '64', conv4a: '192', mixed6e: '768' };

/**
 * The convolutional part: pictures to their last activations.
 *
 * @param x `[B, H, W, 3]`, float32, about [-1, 1]; sides from 75.
 * @param see Is shown the activations after the tapped parts, borrowed.
 * @returns `[B, h, w, 2048]`; 8 x 8 of them for 299 x 299 pixels. The caller disposes it.
 */
export function inceptionTrunk(
  network: InceptionNetwork,
  x: tf.Tensor4D,
  see: (tap: Tap, activations: tf.Tensor4D) => void = () => undefined,
): tf.Tensor4D {
  let h = x;
  const step = (name: string, f: () => tf.Tensor4D): void => {
    const next = tf.tidy(f);
    if (h !== x) h.dispose(); // now, since the activations of 20 parts would be hundreds of megabytes
    h = next;
    const tap = TAP_AFTER[name];
    if (tap) see(tap, h);
  };
  try {
    for (const { name, stride, padding, pooled } of STEM) {
      step(name, () => {
        const y = convRelu(network.stem[name], h, { stride, padding });
        return pooled ? tf.maxPool(y, 3, 2, 'valid') : y;
      });
    }
    for (const plan of BLOCKS) step(plan.name, () => inceptionBlock(plan, network.blocks[plan.name], h));
    return h;
  } catch (error) {
    if (h !== x) h.dispose();
    throw error;
  }
}

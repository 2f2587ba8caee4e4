// Shapes: B batch, H, W picture sides.
import * as tf from '@tensorflow/tfjs-core';
import { ModelError } from './errors';

/**
 * Bytes of each picture of a batch.
 *
 * @param draw Makes `[B, H, W, 3]`, float32, about [-1, 1]; values outside are cut. Runs in a tidy.
 * @returns B arrays of `H * W * 3` bytes, rows from the top, RGB.
 * @throws ModelError `not_finite` if a value is NaN or infinite.
 */
export async function readPixels(draw: () => tf.Tensor4D): Promise<Uint8Array[]> {
  const images = tf.tidy(draw);
  try {
    const values = await images.data();
    const size = images.size / images.shape[0];
    return Array.from({ length: images.shape[0] }, (_, i) => toBytes(values.subarray(i * size, (i + 1) * size)));
  } finally {
    images.dispose();
  }
}

/** The same picture with an alpha byte of 255 after each RGB, as `ImageData` and canvases take it. */
export function toRgba(pixels: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray((pixels.length / 3) * 4).fill(255);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    rgba[to] = pixels[from];
    rgba[to + 1] = pixels[from + 1];
    rgba[to + 2] = pixels[from + 2];
  }
  return rgba;
}

function toBytes(values: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8ClampedArray(values.length); // rounds and cuts to 0 … 255
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new ModelError(
        'decode: expected a picture of finite numbers, received NaN or infinity. Are the weights damaged?',
        {
          code: 'not_finite',
        },
      );
    }
    bytes[i] = (values[i] + 1) * 127.5;
  }
  return new Uint8Array(bytes.buffer);
}

// Shapes: B batch, H W size, C channels, n block size.
import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { withGradient } from './custom-gradient';
import { ShapeError } from './errors';
import { hasWasmKernels } from './wasm/multiply';
import { wasmUpsample2x, wasmUpsample2xGradient } from './wasm/resample';

/**
 * Each pixel becomes 2 x 2 equal pixels.
 *
 * @param x `[B, H, W, C]`, float32.
 * @returns `[B, 2H, 2W, C]`. The caller disposes it.
 * @throws ShapeError if x has no four axes.
 */
export function upsampleNearest2x(x: tf.Tensor4D): tf.Tensor4D {
  expectImages('upsampleNearest2x', x);
  const [B, H, W, C] = x.shape;
  return withGradient<tf.Tensor4D>(
    'upsampleNearest2x',
    { x },
    () => {
      if (hasWasmKernels()) return wasmUpsample2x(x);
      const pixels = tf.reshape(x, [B * H * W, C]);
      const wide = tf.reshape(tf.concat([pixels, pixels], 1), [B * H, 2 * W * C]);
      return tf.reshape(tf.concat([wide, wide], 1), [B, 2 * H, 2 * W, C]);
    },
    (dy) => [hasWasmKernels() ? wasmUpsample2xGradient(dy) : tf.mul(tf.avgPool(dy, 2, 2, 'valid'), 4)],
  );
}

/**
 * Moves blocks of pixels into the channels, in the order (row, column, channel).
 *
 * @param x `[B, H, W, C]` with H and W multiples of `block`.
 * @returns `[B, H / n, W / n, n * n * C]`. The caller disposes it.
 * @throws ShapeError if H or W is not a multiple.
 */
export function spaceToDepth(x: tf.Tensor4D, block: number): tf.Tensor4D {
  expectImages('spaceToDepth', x);
  expectBlock('spaceToDepth', block);
  const [B, H, W, C] = x.shape;
  if (H % block !== 0 || W % block !== 0) {
    throw new ShapeError(`spaceToDepth: expected a height and width divisible by ${block}, received [${H}, ${W}].`);
  }
  expectAlive('spaceToDepth', { x });
  return tf.tidy(() => {
    const [h, w] = [H / block, W / block];
    const rows = tf.reshape(x, [B * h, block, w, block * C]);
    return tf.reshape(tf.transpose(rows, [0, 2, 1, 3]), [B, h, w, block * block * C]);
  });
}

/**
 * The inverse of `spaceToDepth`.
 *
 * @param x `[B, h, w, n * n * C]`.
 * @returns `[B, h * n, w * n, C]`. The caller disposes it.
 * @throws ShapeError if the channels are not a multiple of `n * n`.
 */
export function depthToSpace(x: tf.Tensor4D, block: number): tf.Tensor4D {
  expectImages('depthToSpace', x);
  expectBlock('depthToSpace', block);
  const [B, h, w, channels] = x.shape;
  const C = channels / (block * block);
  if (!Number.isInteger(C)) {
    throw new ShapeError(`depthToSpace: expected channels divisible by ${block * block}, received ${channels}.`);
  }
  expectAlive('depthToSpace', { x });
  return tf.tidy(() => {
    const rows = tf.reshape(x, [B * h, w, block, block * C]);
    return tf.reshape(tf.transpose(rows, [0, 2, 1, 3]), [B, h * block, w * block, C]);
  });
}

function expectImages(where: string, x: tf.Tensor): void {
  if (x.rank !== 4) throw new ShapeError(`${where}: expected x of shape [B, H, W, C], received [${x.shape.join(', ')}].`);
}

function expectBlock(where: string, block: number): void {
  if (!Number.isInteger(block) || block < 1) {
    throw new ShapeError(`${where}: expected a block of a whole number of pixels from 1, received ${String(block)}.`);
  }
}

// Shapes: B batch, H and W sides, h and w half of them rounded down, C channels, N = B·h·w windows.
import * as tf from '@tensorflow/tfjs-core';

/**
 * The largest of every 2×2 pixels; a last odd row or column is left out. Where several are largest the gradient goes to
 * the first in reading order, as in PyTorch.
 *
 * The gradient is made of slices, since wasm has none for pooling.
 *
 * @param x `[B, H, W, C]`, float32.
 * @returns `[B, h, w, C]`. The caller disposes it.
 */
export function maxPool2x2(x: tf.Tensor4D): tf.Tensor4D {
  const { shape } = x;
  const op = tf.customGrad<tf.Tensor4D>((...args) => {
    const save = args[args.length - 1] as tf.GradSaveFunc;
    const value = tf.maxPool(x, 2, 2, 'valid'); // [B, h, w, C]
    save([x, value]);
    return {
      value,
      gradFunc: (dy, [input, largest]) =>
        tf.tidy(() => poolGradient(dy, input as tf.Tensor4D, largest as tf.Tensor4D, shape)),
    };
  });
  return op(x);
}

function poolGradient(
  dy: tf.Tensor4D,
  x: tf.Tensor4D,
  largest: tf.Tensor4D,
  [B, H, W, C]: [number, number, number, number],
): tf.Tensor4D {
  const [h, w] = [Math.floor(H / 2), Math.floor(W / 2)];
  const whole = H === 2 * h && W === 2 * w ? x : tf.slice(x, [0, 0, 0, 0], [B, 2 * h, 2 * w, C]);
  const windows = [B * h * w, C] as const;
  const pair = tf.reshape(whole, [B * h, 4 * w * C]) as tf.Tensor2D; // an upper and a lower row after each other
  const corners = [0, 1].flatMap((row) => {
    const line = tf.reshape(tf.slice(pair, [0, row * 2 * w * C], [B * h, 2 * w * C]), [B * h * w, 2 * C]) as tf.Tensor2D;
    return [0, 1].map((column) => tf.slice(line, [0, column * C], windows as [number, number])); // [N, C]
  });
  const peak = tf.reshape(largest, [...windows]);
  let left = tf.reshape(dy, [...windows]); // what no corner has taken yet
  const taken = corners.map((corner, i) => {
    const own = tf.mul(left, tf.cast(tf.equal(corner, peak), 'float32'));
    if (i < 3) left = tf.sub(left, own);
    return own; // [N, C]
  });
  const lines = [0, 2].map((i) => tf.reshape(tf.concat([taken[i]!, taken[i + 1]!], 1), [B * h, 2 * w * C]));
  const dx = tf.reshape(tf.concat(lines, 1), [B, 2 * h, 2 * w, C]) as tf.Tensor4D;
  if (whole === x) return dx;
  return tf.pad(dx, [[0, 0], [0, H - 2 * h], [0, W - 2 * w], [0, 0]]); // prettier-ignore
}

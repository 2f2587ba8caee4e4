// Shapes: B batch, H W input size, h w output size, C input channels, K output channels.
import type { Conv2dOptions, Conv2dParams } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';

/** nn's `conv2d` by tfjs' own, with tfjs' own gradients where the backend has them. */
export function conv2d({ weight, bias }: Conv2dParams, x: tf.Tensor4D, options: Conv2dOptions = {}): tf.Tensor4D {
  const { stride = 1, padding = 'same' } = options;
  return tf.tidy(() => {
    const explicit = typeof padding !== 'string';
    // tfjs has gradients for 'same' and 'valid' only.
    const image = explicit
      ? (tf.pad(x, [[0, 0], [padding.top, padding.bottom], [padding.left, padding.right], [0, 0]]) as tf.Tensor4D)
      : x;
    const pad = explicit ? 'valid' : padding;
    const y = hasFilterGradient() ? tf.conv2d(image, weight, stride, pad) : exchanged(image, weight, stride, pad);
    return bias ? tf.add(y, bias) : y;
  });
}

/** What the gradients of `conv2d` are made of here, for people. */
export function conv2dGradientRoute(): string {
  if (hasFilterGradient()) return "tfjs' conv2d and its gradients";
  return "tfjs' conv2d and its input gradient; its filter gradient is missing here: conv2d with batch and channels exchanged";
}

function hasFilterGradient(): boolean {
  return tf.getKernel('Conv2DBackpropFilter', tf.getBackend()) !== undefined;
}

/** The filter gradient as the fastest composition of tfjs' forward operations. */
function exchanged(x: tf.Tensor4D, weight: tf.Tensor4D, stride: number, pad: 'same' | 'valid'): tf.Tensor4D {
  const op = tf.customGrad((...args) => {
    const [image, filter, save] = args as unknown as [tf.Tensor4D, tf.Tensor4D, tf.GradSaveFunc];
    save([image, filter]);
    return {
      value: tf.conv2d(image, filter, stride, pad),
      gradFunc: (dy, saved) => {
        const [x2, weight2] = saved as [tf.Tensor4D, tf.Tensor4D];
        return tf.tidy(() => [
          tf.conv2dTranspose(dy as tf.Tensor4D, weight2, x2.shape, stride, pad),
          filterGradient(x2, dy as tf.Tensor4D, weight2.shape, stride, pad),
        ]);
      },
    };
  });
  return op(x, weight) as tf.Tensor4D;
}

function filterGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  [kh, kw]: readonly number[],
  stride: number,
  pad: 'same' | 'valid',
): tf.Tensor4D {
  const [, H, W] = x.shape;
  const around = (size: number, out: number, kernel: number): [number, number] => {
    const total = pad === 'same' ? Math.max(0, (out - 1) * stride + kernel - size) : 0;
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  };
  const images = tf.transpose(x, [3, 1, 2, 0]) as tf.Tensor4D; // [C, H, W, B]
  const filter = tf.transpose(dy, [1, 2, 0, 3]) as tf.Tensor4D; // [h, w, B, K]
  const sides: [[number, number], [number, number], [number, number], [number, number]] = [
    [0, 0],
    around(H, dy.shape[1], kh),
    around(W, dy.shape[2], kw),
    [0, 0],
  ];
  const full = tf.conv2d(images, filter, 1, sides, 'NHWC', stride); // [C, >=kh, >=kw, K]
  return tf.transpose(tf.slice(full, [0, 0, 0, 0], [-1, kh, kw, -1]), [1, 2, 0, 3]); // [kh, kw, C, K]
}

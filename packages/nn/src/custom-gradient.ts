import * as tf from '@tensorflow/tfjs-core';

/**
 * A function of tensors with a gradient of our own.
 *
 * @param inputs What the gradient is taken with respect to.
 * @param forward Computes the value; `save` keeps tensors for `backward`, which must not use any other tensor.
 * @param backward One gradient per input, from the gradient of the value and the saved tensors.
 */
export function withGradient<T extends tf.Tensor>(
  inputs: readonly tf.Tensor[],
  forward: (save: (tensors: tf.Tensor[]) => void) => T,
  backward: (dy: T, saved: tf.Tensor[]) => tf.Tensor[],
): T {
  const op = tf.customGrad<T>((...args) => {
    const save = args[args.length - 1] as tf.GradSaveFunc;
    // Tidied here: tfjs would keep what a gradient needs in between until the whole backward pass is over.
    return { value: forward(save), gradFunc: (dy, saved) => tf.tidy(() => backward(dy, saved)) };
  });
  return op(...inputs);
}

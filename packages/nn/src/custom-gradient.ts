import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';

/**
 * A function of tensors with a gradient of our own.
 *
 * @param where Name of the operation, for messages.
 * @param inputs What the gradient is taken with respect to, by name; those that are undefined are left out.
 * @param forward Computes the value; `save` keeps tensors for `backward`, which must not use any other tensor.
 * @param backward One gradient per input, from the gradient of the value and the saved tensors.
 * @throws DisposedError if an input was disposed.
 */
export function withGradient<T extends tf.Tensor>(
  where: string,
  inputs: Readonly<Record<string, tf.Tensor | undefined>>,
  forward: (save: (tensors: tf.Tensor[]) => void) => T,
  backward: (dy: T, saved: tf.Tensor[]) => tf.Tensor[],
): T {
  expectAlive(where, inputs);
  const tensors = Object.values(inputs).filter((tensor) => tensor !== undefined);
  const op = tf.customGrad<T>((...args) => {
    const save = args[args.length - 1] as tf.GradSaveFunc;
    // Tidied here: tfjs would keep what a gradient needs in between until the whole backward pass is over.
    return { value: forward(save), gradFunc: (dy, saved) => tf.tidy(() => backward(dy, saved)) };
  });
  return op(...tensors);
}

import type * as tf from '@tensorflow/tfjs-core';
import { DisposedError } from './errors';

/**
 * Checks that named tensors are there to be read. What tfjs says otherwise names neither the tensor nor the operation.
 *
 * @param where Name of the calling function, for the message.
 * @throws DisposedError naming the first that was disposed.
 */
export function expectAlive(where: string, tensors: Readonly<Record<string, tf.Tensor | undefined>>): void {
  for (const [name, tensor] of Object.entries(tensors)) {
    if (tensor?.isDisposed) throw new DisposedError(where, name, tensor.shape);
  }
}

import type * as tf from '@tensorflow/tfjs-core';
import { ShapeError } from './errors';

/**
 * Checks the shapes of named tensors.
 *
 * @param where Name of the calling function, for the message.
 * @throws ShapeError naming every tensor that does not fit.
 */
export function expectShape(
  where: string,
  actual: Readonly<Record<string, tf.Tensor>>,
  expected: Readonly<Record<string, readonly number[]>>,
): void {
  const wrong: string[] = [];
  for (const [name, shape] of Object.entries(expected)) {
    const tensor = actual[name];
    const received = tensor === undefined ? 'none' : `[${tensor.shape.join(', ')}]`;
    if (tensor === undefined || tensor.shape.length !== shape.length || tensor.shape.some((n, i) => n !== shape[i])) {
      wrong.push(`expected ${name} of shape [${shape.join(', ')}], received ${received}`);
    }
  }
  if (wrong.length > 0) throw new ShapeError(`${where}: ${wrong.join('; ')}.`);
}

import * as tf from '@tensorflow/tfjs-core';
import { BackendError } from './errors';

/**
 * Makes a registered backend the one that computes.
 *
 * @throws BackendError `unavailable` if tfjs cannot initialise it.
 */
export async function activate(name: string): Promise<void> {
  await import('@tensorflow/tfjs'); // gradients, and the cpu backend
  if (!(await tf.setBackend(name))) throw new BackendError('unavailable', `${name}: tfjs could not initialise it`);
  await tf.ready();
}

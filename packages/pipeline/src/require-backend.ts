import * as tf from '@tensorflow/tfjs-core';
import { RequestError } from './errors';

/**
 * Starts the best backend that the app registered, unless it has chosen one.
 *
 * @throws RequestError if there is none.
 */
export async function requireBackend(where: string): Promise<void> {
  try {
    await tf.ready();
  } catch (cause) {
    throw new RequestError(
      `${where}: expected a TensorFlow.js backend, received none (${(cause as Error).message.replace(/\.$/, '')}). ` +
        `Import one in the app, e.g. '@tensorflow/tfjs-backend-wasm', in a browser with its setWasmPaths.`,
      { cause },
    );
  }
}

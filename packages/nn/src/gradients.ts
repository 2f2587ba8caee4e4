import * as tf from '@tensorflow/tfjs-core';
import { expectAlive } from './alive';
import { GradientError } from './errors';
import { clipFlat, joinFlat, splitFlat } from './flat';
import { flattenParams, type ParamTree } from './tree';
import { hasWasmKernels } from './wasm/multiply';
import { wasmClip } from './wasm/optimiser';

export type Gradients = Record<string, tf.Tensor>;

/**
 * The loss and its gradient with respect to every tensor of the tree.
 *
 * @param loss Computes a scalar from the tensors of `params` (variables or not).
 * @returns `value`, a scalar, and `grads` by path. The caller disposes both.
 * @throws GradientError naming the paths to which the loss has no connection. With `allowMissing` these are left out.
 */
export function valueAndGrads(
  loss: () => tf.Scalar,
  params: ParamTree,
  options: { readonly allowMissing?: boolean } = {},
): { value: tf.Scalar; grads: Gradients } {
  const entries = flattenParams(params);
  const tensors = entries.map((entry) => entry.tensor);
  const { value, grads } = differentiate(loss, tensors);
  const found: (tf.Tensor | null | undefined)[] = grads;
  const missing = entries.filter((_, i) => !found[i]).map((entry) => entry.path);
  if (missing.length > 0 && !options.allowMissing) {
    tf.dispose([value, ...found.filter((grad) => grad !== null && grad !== undefined)]);
    throw new GradientError(
      `valueAndGrads: the loss does not depend on ${missing.map((path) => `"${path}"`).join(', ')}. ` +
        'Leave these weights out of the tree, or pass allowMissing.',
      missing,
    );
  }
  const byPath: Gradients = {};
  entries.forEach(({ path }, i) => {
    const grad = found[i];
    if (grad) byPath[path] = grad;
  });
  return { value, grads: byPath };
}

function differentiate(loss: () => tf.Scalar, tensors: tf.Tensor[]): { value: tf.Scalar; grads: tf.Tensor[] } {
  const { state } = tf.engine();
  const outermost = state.gradientDepth === 0;
  try {
    return tf.engine().gradients(loss, tensors, undefined, true);
  } catch (error) {
    // tfjs forgets what it had saved for the gradients when the loss throws.
    if (outermost && state.activeTape) {
      for (const node of state.activeTape) tf.dispose(node.saved ?? []);
      state.activeTape = [];
    }
    throw error;
  }
}

/**
 * Scales all gradients by one factor so that their common Euclidean norm is at most `maxNorm`.
 *
 * @param grads Borrowed.
 * @returns New gradients, and the norm before clipping as a scalar. The caller disposes both.
 * @throws DisposedError if a gradient was disposed.
 */
export function clipByGlobalNorm(
  grads: Readonly<Record<string, tf.Tensor>>,
  maxNorm: number,
): { grads: Gradients; norm: tf.Scalar } {
  expectAlive('clipByGlobalNorm', grads);
  return tf.tidy(() => {
    const paths = Object.keys(grads);
    const tensors = paths.map((path) => grads[path]!);
    const { grads: parts, norm } = hasWasmKernels() ? wasmClip(tensors, maxNorm) : clip(tensors, maxNorm);
    const clipped: Gradients = {};
    paths.forEach((path, i) => (clipped[path] = parts[i]!));
    return { grads: clipped, norm };
  });
}

function clip(tensors: tf.Tensor[], maxNorm: number): { grads: tf.Tensor[]; norm: tf.Scalar } {
  const { flat, norm } = clipFlat(joinFlat(tensors), maxNorm);
  return { grads: splitFlat(flat, tensors), norm };
}

/**
 * The name of the first tensor that holds a NaN or an infinity.
 *
 * @param named A tree of weights, or a record of gradients. Borrowed.
 * @returns Its path, or `undefined` if all numbers are finite. Reads back once.
 * @throws DisposedError if a tensor was disposed.
 */
export async function firstNonFinite(named: ParamTree): Promise<string | undefined> {
  const entries = flattenParams(named).filter(({ tensor }) => tensor.dtype === 'float32' && tensor.size > 0);
  if (entries.length === 0) return undefined;
  expectAlive('firstNonFinite', Object.fromEntries(entries.map(({ path, tensor }) => [path, tensor])));
  // x - x is 0 for finite numbers and NaN for all others.
  const sums = tf.tidy(() => tf.stack(entries.map(({ tensor }) => tf.sum(tf.sub(tensor, tensor)))));
  try {
    const index = (await sums.data()).findIndex((sum) => Number.isNaN(sum));
    return entries[index]?.path;
  } finally {
    sums.dispose();
  }
}

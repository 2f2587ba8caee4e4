import * as tf from '@tensorflow/tfjs-core';
import { CheckpointError } from './errors';

/** Weights as a plain tree. The key path (`down.0.conv1.weight`) is the name in the checkpoint. */
export type ParamTree = tf.Tensor | { readonly [key: string]: ParamTree } | readonly ParamTree[];

/** All tensors with their paths, in the order of the keys. */
export function flattenParams(tree: ParamTree): { path: string; tensor: tf.Tensor }[] {
  const entries: { path: string; tensor: tf.Tensor }[] = [];
  mapTree(tree, '', (tensor, path) => {
    entries.push({ path, tensor });
    return tensor;
  });
  return entries;
}

/** The same tree with each tensor replaced. If `f` throws, what it had made is disposed. */
export function mapParams<T extends ParamTree>(tree: T, f: (tensor: tf.Tensor, path: string) => tf.Tensor): T {
  const made: tf.Tensor[] = [];
  try {
    return mapTree(tree, '', (tensor, path) => {
      const next = f(tensor, path);
      if (next !== tensor) made.push(next);
      return next;
    }) as T;
  } catch (error) {
    tf.dispose(made);
    throw error;
  }
}

/**
 * A tree of the template's form, filled by name.
 *
 * @param template Says which names and shapes are expected. Borrowed, not changed.
 * @param byPath Tensors by path. Borrowed: the result holds clones, which the caller disposes.
 * @throws CheckpointError listing every missing, unexpected and misshapen name; nothing is left in memory.
 */
export function restoreParams<T extends ParamTree>(template: T, byPath: Readonly<Record<string, tf.Tensor>>): T {
  const expected = flattenParams(template);
  const names = new Set(expected.map((entry) => entry.path));
  const missing = expected.filter(({ path }) => !Object.hasOwn(byPath, path)).map(({ path }) => path);
  const unexpected = Object.keys(byPath).filter((path) => !names.has(path));
  const misshapen = expected.flatMap(({ path, tensor }) => {
    const found = Object.hasOwn(byPath, path) ? byPath[path] : undefined;
    if (found === undefined || found.shape.join() === tensor.shape.join()) return [];
    return [`"${path}" is [${found.shape.join(', ')}] in the file but [${tensor.shape.join(', ')}] in the model`];
  });
  if (missing.length + unexpected.length + misshapen.length > 0) {
    const parts = [
      missing.length > 0 ? `missing: ${quoted(missing)}` : '',
      unexpected.length > 0 ? `unexpected: ${quoted(unexpected)}` : '',
      misshapen.length > 0 ? `misshapen: ${misshapen.join(', ')}` : '',
    ].filter((part) => part !== '');
    throw new CheckpointError(
      `restoreParams: the weights do not fit the model. ${parts.join('; ')}. Were they made with another config?`,
      { code: 'mismatch', missing, unexpected, misshapen },
    );
  }
  return mapParams(template, (_, path) => tf.clone(byPath[path]!));
}

/** How many numbers the tree holds. */
export function countParams(tree: ParamTree): number {
  return flattenParams(tree).reduce((total, { tensor }) => total + tensor.size, 0);
}

/** Disposes every tensor of the tree; twice without harm. */
export function disposeParams(tree: ParamTree): void {
  for (const { tensor } of flattenParams(tree)) if (!tensor.isDisposed) tensor.dispose();
}

/** A tree of clones. The caller disposes it. */
export function cloneParams<T extends ParamTree>(tree: T): T {
  return mapParams(tree, (tensor) => tf.clone(tensor));
}

/** The same tree of trainable `tf.Variable`s. Borrows the tree; the caller disposes both. */
export function toVariables<T extends ParamTree>(tree: T): T {
  // Inside a tidy, since tf.variable leaks its initial value outside of one.
  return mapParams(tree, (tensor) => tf.tidy(() => tf.variable(tf.clone(tensor))));
}

function mapTree(tree: ParamTree, path: string, f: (tensor: tf.Tensor, path: string) => tf.Tensor): ParamTree {
  if (tree instanceof tf.Tensor) return f(tree, path);
  const child = (key: string): string => (path === '' ? key : `${path}.${key}`);
  if (isList(tree)) return tree.map((branch, i) => mapTree(branch, child(String(i)), f));
  const copy: Record<string, ParamTree> = {};
  for (const [key, branch] of Object.entries(tree)) {
    if (branch !== undefined) copy[key] = mapTree(branch, child(key), f);
  }
  return copy;
}

function isList(tree: ParamTree): tree is readonly ParamTree[] {
  return Array.isArray(tree);
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}

import * as tf from '@tensorflow/tfjs-core';
import { CheckpointError } from './errors';
import type { TensorEntry } from './tensor-source';

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
  expectTensors(
    'restoreParams',
    flattenParams(template).map(({ path, tensor }) => ({ path, shape: tensor.shape })),
    Object.entries(byPath).map(([path, { shape }]) => ({ path, shape })),
  );
  return mapParams(template, (_, path) => tf.clone(byPath[path]!));
}

/**
 * Holds the tensors that were found against those of a model.
 *
 * @param where Name of the calling function, for the message.
 * @throws CheckpointError listing every missing, unexpected and misshapen name.
 */
export function expectTensors(where: string, expected: readonly TensorEntry[], found: readonly TensorEntry[]): void {
  const shapes = new Map(found.map(({ path, shape }) => [path, shape]));
  const names = new Set(expected.map(({ path }) => path));
  const missing = expected.filter(({ path }) => !shapes.has(path)).map(({ path }) => path);
  const unexpected = found.filter(({ path }) => !names.has(path)).map(({ path }) => path);
  const misshapen = expected.flatMap(({ path, shape }) => {
    const received = shapes.get(path);
    if (received === undefined || received.join() === shape.join()) return [];
    return [`"${path}" is [${received.join(', ')}] in the file but [${shape.join(', ')}] in the model`];
  });
  if (missing.length + unexpected.length + misshapen.length === 0) return;
  const parts = [
    missing.length > 0 ? `missing: ${quoted(missing)}` : '',
    unexpected.length > 0 ? `unexpected: ${quoted(unexpected)}` : '',
    misshapen.length > 0 ? `misshapen: ${misshapen.join(', ')}` : '',
  ].filter((part) => part !== '');
  throw new CheckpointError(
    `${where}: the weights do not fit the model. ${parts.join('; ')}. Were they made with another config?`,
    { code: 'mismatch', missing, unexpected, misshapen },
  );
}

/**
 * The tree whose paths these are: `down.0.weight` is the `weight` of the first entry of the list `down`. A tree without empty
 * lists comes back from its `flattenParams`.
 *
 * @param tensors Go over into the tree.
 * @throws CheckpointError if a path is part of another, or a list has a gap; disposes nothing then.
 */
export function treeFromPaths<T extends ParamTree>(tensors: Iterable<readonly [path: string, tensor: tf.Tensor]>): T {
  type Branch = Map<string, Branch | tf.Tensor>;
  const root: Branch = new Map();
  const invalid = (path: string, why: string): CheckpointError =>
    new CheckpointError(`treeFromPaths: "${path}" ${why}. Is it a file of another kind of weights?`, { code: 'format' });
  for (const [path, tensor] of tensors) {
    const keys = path.split('.');
    let branch = root;
    for (const key of keys.slice(0, -1)) {
      const next = branch.get(key) ?? (new Map() as Branch);
      if (next instanceof tf.Tensor) throw invalid(path, 'goes on where another weight ends');
      branch.set(key, next);
      branch = next;
    }
    if (branch.has(keys.at(-1)!)) throw invalid(path, 'stands for two weights');
    branch.set(keys.at(-1)!, tensor);
  }
  const build = (branch: Branch | tf.Tensor, path: string): ParamTree => {
    if (branch instanceof tf.Tensor) return branch;
    const grown = [...branch].map(([key, child]) => [key, build(child, path === '' ? key : `${path}.${key}`)] as const);
    if (!grown.every(([key]) => /^\d+$/.test(key))) return Object.fromEntries(grown);
    const list: ParamTree[] = [];
    for (const [key, child] of grown) list[Number(key)] = child;
    if (list.length !== grown.length) throw invalid(path, `is a list of ${grown.length} with the index ${list.length - 1}`);
    return list;
  };
  return build(root, '') as T;
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

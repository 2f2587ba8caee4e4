import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import {
  CheckpointError,
  cloneParams,
  countParams,
  disposeParams,
  flattenParams,
  mapParams,
  type ParamTree,
  restoreParams,
  toVariables,
  treeFromPaths,
} from './index';

beforeAll(() => setupBackend('cpu'));

type Example = { down: { weight: tf.Tensor; bias?: tf.Tensor }[]; scale: tf.Tensor };

const example = (): Example => ({
  down: [{ weight: tf.ones([2, 3]), bias: tf.zeros([3]) }, { weight: tf.ones([4]) }],
  scale: tf.scalar(2),
});

/** A tree's form: a leaf's size, or branches. */
type Form = number | { [key: string]: Form } | Form[];
const form = fc.letrec<{ tree: Form }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: 1, max: 4 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), tie('tree'), { maxKeys: 3 }),
    fc.array(tie('tree'), { maxLength: 3 }),
  ),
})).tree;

function grow(shape: Form): ParamTree {
  if (typeof shape === 'number') return tf.fill([shape], shape);
  if (Array.isArray(shape)) return shape.map(grow);
  return Object.fromEntries(Object.entries(shape).map(([key, branch]) => [key, grow(branch)]));
}

describe('flattenParams', () => {
  it('names each tensor by its key path, in the order of the keys', () => {
    const tree = example();
    expect(flattenParams(tree).map(({ path }) => path)).toEqual([
      'down.0.weight',
      'down.0.bias',
      'down.1.weight',
      'scale',
    ]);
    expect(countParams(tree)).toBe(6 + 3 + 4 + 1);
    disposeParams(tree);
  });

  it('skips optional weights that are not there', () => {
    const tree: { weight: tf.Tensor; bias?: tf.Tensor } = { weight: tf.ones([2]) };
    expect(flattenParams(tree).map(({ path }) => path)).toEqual(['weight']);
    disposeParams(tree);
  });
});

describe('restoreParams', () => {
  it('undoes flattenParams for any tree', () => {
    fc.assert(
      fc.property(form, (shape) => {
        const tree = grow(shape);
        const record = Object.fromEntries(flattenParams(tree).map(({ path, tensor }) => [path, tensor]));
        const back = restoreParams(tree, record);
        expect(flattenParams(back).map(({ path }) => path)).toEqual(flattenParams(tree).map(({ path }) => path));
        for (const { path, tensor } of flattenParams(back)) expect(tensor).toBeAllClose(record[path]!);
        disposeParams(back);
        disposeParams(tree);
      }),
      { numRuns: 40 },
    );
  });

  it('lists every missing, unexpected and misshapen name in one error, and leaves nothing behind', async () => {
    const tree = example();
    const record = { 'down.0.weight': tf.ones([3, 2]), 'down.0.bias': tf.ones([3]), other: tf.ones([1]) };
    await expectNoLeak(() => restoreParams(tree, record), { throws: 'the weights do not fit the model.' });
    expect(() => restoreParams(tree, record)).toThrow(
      new CheckpointError(
        'restoreParams: the weights do not fit the model. missing: "down.1.weight", "scale"; unexpected: "other"; ' +
          'misshapen: "down.0.weight" is [3, 2] in the file but [2, 3] in the model. Were they made with another config?',
        {
          code: 'mismatch',
          missing: ['down.1.weight', 'scale'],
          unexpected: ['other'],
          misshapen: ['"down.0.weight" is [3, 2] in the file but [2, 3] in the model'],
        },
      ),
    );
    tf.dispose([record, tree]);
  });
});

describe('mapParams', () => {
  it('disposes what it made when the function throws', async () => {
    const tree = example();
    const failing = (tensor: tf.Tensor, path: string): tf.Tensor => {
      if (path === 'scale') throw new Error('on purpose');
      return tf.clone(tensor);
    };
    await expectNoLeak(() => mapParams(tree, failing), { throws: 'on purpose' });
    disposeParams(tree);
  });
});

describe('toVariables, cloneParams, disposeParams', () => {
  it('make trees of their own', async () => {
    const tree = example();
    await expectNoLeak(() => [toVariables(tree), cloneParams(tree)]);
    const variables = toVariables(tree);
    expect(flattenParams(variables).every(({ tensor }) => tensor instanceof tf.Variable && tensor.trainable)).toBe(
      true,
    );
    tf.tidy(() => (variables.scale as tf.Variable).assign(tf.scalar(7)));
    expect(tree.scale).toBeAllClose(2);
    disposeParams(variables);
    disposeParams(variables); // twice without harm
    disposeParams(tree);
  });
});

describe('treeFromPaths', () => {
  const pairs = (tree: ParamTree): [string, tf.Tensor][] => flattenParams(tree).map(({ path, tensor }) => [path, tensor]);
  const hasEmpty = (shape: Form): boolean =>
    typeof shape !== 'number' && (Object.keys(shape).length === 0 || Object.values(shape).some(hasEmpty));

  it('brings back every tree without empty branches, whatever the order of its paths', () => {
    fc.assert(
      fc.property(
        form.filter((shape) => typeof shape !== 'number' && !hasEmpty(shape)),
        fc.boolean(),
        (shape, backwards) => {
          const tree = grow(shape);
          const paths = pairs(tree);
          const back = treeFromPaths(backwards ? paths.reverse() : paths);
          expect(back).toEqual(tree);
          disposeParams(tree);
        },
      ),
    );
  });

  it('refuses paths that make no tree', () => {
    const weight = tf.scalar(1);
    const build = (...paths: string[]) => () => treeFromPaths(paths.map((path) => [path, weight] as const));
    const AGAIN = 'Is it a file of another kind of weights?';
    expect(build('a', 'a.b')).toThrow(`treeFromPaths: "a.b" goes on where another weight ends. ${AGAIN}`);
    expect(build('a.b', 'a')).toThrow(`treeFromPaths: "a" stands for two weights. ${AGAIN}`);
    expect(build('a.0', 'a.2')).toThrow(`treeFromPaths: "a" is a list of 2 with the index 2. ${AGAIN}`);
    expect(build('a.0', 'a.00')).toThrow(CheckpointError);
    weight.dispose();
  });
});

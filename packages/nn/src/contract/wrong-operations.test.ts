// The contract itself: operations that are wrong on purpose must be found out.
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import { contractCase, contractCases, normal, runContract, type ContractCase, type Numbers } from '../contract';
import { ShapeError } from '../errors';
import { withGradient } from '../custom-gradient';

beforeAll(() => setupBackend('cpu'));

let left: tf.Tensor[] = [];
afterEach(() => {
  tf.dispose(left);
  left = [];
});

type Parts = { forward?: (x: tf.Tensor) => tf.Tensor; backward?: (dy: tf.Tensor, x: tf.Tensor) => tf.Tensor };

/** x³ with one part exchanged. */
function cube({
  forward = (x) => tf.pow(x, 3),
  backward = (dy, x) => tf.mul(dy, tf.mul(3, tf.square(x))),
}: Parts): ContractCase['run'] {
  return ({ x }) => {
    if (x.shape[0] !== 2) throw new ShapeError('cube: expected two rows.');
    return withGradient(
      'cube',
      { x },
      (save) => (save([x]), forward(x)),
      (dy, saved) => [backward(dy, saved[0])],
    );
  };
}

async function failuresOf(run: ContractCase['run']): Promise<{ what: string; expected: string; received: string }[]> {
  const test = contractCase({
    op: 'cube',
    name: 'numbers',
    inputs: { x: normal(2, 3) },
    run,
    reference: ({ x }): Numbers => ({ shape: x.shape, data: x.data.map((value) => value ** 3) }),
    misshapen: [{ x: [3, 3] }],
  });
  const { failures } = await runContract({ cases: [test] });
  return failures.map(({ what, expected, received }) => ({ what, expected, received }));
}

const whats = async (run: ContractCase['run']): Promise<string[]> => (await failuresOf(run)).map(({ what }) => what);

describe('an operation', () => {
  it('that is right passes', async () => {
    expect(await failuresOf(cube({}))).toEqual([]);
  });

  it.each<[string, Parts, RegExp]>([
    ['a sign in the gradient', { backward: (dy, x) => tf.mul(dy, tf.mul(-3, tf.square(x))) }, /^gradient of x, \[\d, \d\]$/],
    ['a gradient without dy', { backward: (_, x) => tf.mul(3, tf.square(x)) }, /^gradient of x, \[\d, \d\]$/],
    ['a gradient off by 1 in 10,000', { backward: (dy, x) => tf.mul(dy, tf.mul(3.0003, tf.square(x))) }, /^gradient of x, \[\d, \d\]$/],
    ['a value off by 1 in 10,000', { forward: (x) => tf.mul(1.0001, tf.pow(x, 3)) }, /^value of y at \[\d, \d\]$/],
    ['one wrong element', { forward: (x) => tf.mul(tf.pow(x, 3), [[1, 1, 1], [1, 0, 1]]) }, /^value of y at \[1, 1\]$/],
    ['a NaN', { forward: (x) => tf.mul(tf.pow(x, 3), [[1, 1, 1], [1, 1, NaN]]) }, /^value of y at \[1, 2\]$/],
    ['a NaN in the gradient', { backward: (dy, x) => tf.mul(dy, tf.mul(tf.square(x), [[3, NaN, 3], [3, 3, 3]])) }, /^gradient of x, \[0, 1\]$/],
    ['a shape', { forward: (x) => tf.reshape(tf.pow(x, 3), [3, 2]), backward: (dy, x) => tf.reshape(dy, x.shape) }, /^shape of y$/],
  ])('with %s is found out', async (_, parts, what) => {
    const failures = await whats(cube(parts));
    expect(failures.length).toBeGreaterThan(0);
    expect(failures[0]).toMatch(what);
  }); // prettier-ignore

  it('with a wrong element of 5000 in the gradient of a large input is found out', async () => {
    const wrong = tf.buffer([5000], 'float32', new Float32Array(5000).fill(2));
    wrong.set(2.2, 4321);
    const factor = wrong.toTensor();
    left.push(factor);
    const test = contractCase({
      op: 'twice',
      name: 'numbers',
      inputs: { x: normal(5000) },
      run: ({ x }) =>
        withGradient(
          'twice',
          { x },
          () => tf.mul(x, 2),
          (dy) => [tf.mul(dy, factor)],
        ),
      reference: ({ x }): Numbers => ({ shape: x.shape, data: x.data.map((value) => 2 * value) }),
    });
    const { failures, ops } = await runContract({ cases: [test] });
    expect(failures.map(({ what }) => what)).toEqual(['gradient of x, elements 4180 to 4388']);
    expect(ops[0].gradientError).toBeGreaterThan(1e-4);
  });

  it('that says what it expected and received', async () => {
    const failures = await failuresOf(({ x }) => tf.add(tf.pow(x, 3), tf.tensor2d([[0, 0, 0], [0, 0, 100]]))); // prettier-ignore
    expect(failures[1]).toEqual({
      what: 'value of y at [1, 2]',
      expected: expect.stringMatching(/^-?\d\.\d+$/) as string,
      received: expect.stringMatching(/^\d{2,3}\.\d+$/) as string,
    });
  });

  it('that leaves a tensor behind is found out, one that keeps something once is not', async () => {
    const right = cube({});
    const leaking = await failuresOf((inputs) => {
      left.push(tf.keep(tf.ones([2])));
      return right(inputs);
    });
    expect(leaking.map(({ what }) => what)).toEqual([
      'memory after the value',
      'memory after the gradient',
      'memory after x of shape [3, 3]',
      'memory after x disposed',
    ]);
    let kept: tf.Tensor | undefined;
    const caching = await failuresOf((inputs) => {
      kept ??= tf.keep(tf.ones([2]));
      return right(inputs);
    });
    left.push(kept!);
    expect(caching).toEqual([]);
  });

  it('that disposes or changes its input is found out', async () => {
    expect(await failuresOf(({ x }) => (x.dispose(), tf.ones([2, 3])))).toContainEqual({
      what: 'x is only borrowed',
      expected: expect.any(String) as string,
      received: 'disposed',
    });
    const writing = await whats(({ x }) => {
      x.dataSync()[1] = 7; // the cpu backend hands out its own memory
      return tf.pow(x, 3);
    });
    expect(writing).toContain('x is only borrowed');
  });

  it('that takes what it should refuse is found out', async () => {
    expect(await failuresOf(({ x }) => (x.isDisposed ? tf.ones([2, 3]) : tf.pow(x, 3)))).toEqual([
      { what: 'error for x of shape [3, 3]', expected: 'a ShapeError', received: 'no error' },
      { what: 'error for x disposed', expected: 'a DisposedError', received: 'no error' },
    ]);
  });

  it('that throws is found out', async () => {
    const failures = await failuresOf(() => {
      throw new Error('no kernel');
    });
    expect(failures[0]).toEqual({ what: 'the value', expected: 'a result', received: 'Error: no kernel' });
  });

  it('without a gradient is found out', async () => {
    const failures = await failuresOf(({ x }) =>
      withGradient(
        'cube',
        {},
        () => tf.pow(x, 3),
        () => [],
      ),
    );
    expect(failures[0]).toEqual({
      what: 'the gradient',
      expected: 'a result',
      received:
        'GradientError: valueAndGrads: the loss does not depend on "x". Leave these weights out of the tree, or pass allowMissing.',
    });
  });
});

describe('runContract', () => {
  it('counts, and runs the chosen operations and sizes only', async () => {
    const seen: string[] = [];
    const report = await runContract({
      ops: ['silu', 'layerNorm'],
      size: 'small',
      onCase: ({ op, case: name }) => seen.push(`${op}: ${name}`),
    });
    const chosen = contractCases.filter(({ op, large }) => ['silu', 'layerNorm'].includes(op) && !large);
    expect(seen).toEqual(chosen.map(({ op, name }) => `${op}: ${name}`));
    expect(report).toMatchObject({ backend: 'cpu', cases: chosen.length, failures: [] });
    expect(report.ops.map(({ op, cases }) => [op, cases])).toEqual([['layerNorm', 3], ['silu', 3]]); // prettier-ignore
    expect(report.checks).toBe(report.ops.reduce((sum, { checks }) => sum + checks, 0));
  });

  it('refuses operations that are not there', async () => {
    await expect(runContract({ ops: ['sliu'] })).rejects.toThrow(
      /^runContract: expected operations out of linear, conv2d, .*, received sliu\.$/,
    );
  });
});

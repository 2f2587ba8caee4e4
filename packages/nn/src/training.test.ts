import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import {
  clipByGlobalNorm,
  createAdamW,
  createHostAdamW,
  createEma,
  createRng,
  disposeParams,
  firstNonFinite,
  GradientError,
  initLinear,
  linear,
  silu,
  toVariables,
  valueAndGrads,
} from './index';

type Packed = { shape: number[]; data: number[] };
type Weights = { kernel: Packed; bias: Packed };
type AdamWGolden = { start: Weights; steps: (Weights & { grads: Weights; norm: number; learningRate: number })[] };

const unpack = (packed: Packed): tf.Tensor => tf.tensor(packed.data, packed.shape);
const unpackBoth = ({ kernel, bias }: Weights): { kernel: tf.Tensor; bias: tf.Tensor } => ({
  kernel: unpack(kernel),
  bias: unpack(bias),
});
const variables = (weights: Weights): { kernel: tf.Tensor; bias: tf.Tensor } => {
  const plain = unpackBoth(weights);
  const made = toVariables(plain);
  disposeParams(plain);
  return made;
};

describe.each(['cpu', 'wasm'] as const)('training on %s', (backend) => {
  beforeAll(() => setupBackend(backend));
  const golden = readGolden<AdamWGolden>(import.meta.url, '../fixtures/adamw.golden.json');
  const options = { learningRate: 0.05, beta1: 0.8, beta2: 0.95, eps: 1e-6, weightDecay: 0.1 };
  const decayFilter = (path: string): boolean => path !== 'bias';

  it('AdamW and clipping follow PyTorch, also across a saved state', async () => {
    await expectNoLeak(() => {
      const params = variables(golden.start);
      let optimizer = createAdamW(params, { ...options, decayFilter });
      golden.steps.forEach((step, i) => {
        const raw = unpackBoth(step.grads);
        const { grads, norm } = clipByGlobalNorm(raw, 5);
        expect(norm).toBeAllClose(step.norm);
        optimizer.step(grads, { learningRate: step.learningRate });
        expect(params.kernel).toBeAllClose(unpackTidy(step.kernel), { rtol: 1e-5, atol: 1e-6 });
        expect(params.bias).toBeAllClose(unpackTidy(step.bias), { rtol: 1e-5, atol: 1e-6 });
        tf.dispose([raw, grads, norm]);
        if (i === 4) {
          const state = optimizer.state();
          optimizer.dispose();
          optimizer = createAdamW(params, { ...options, decayFilter });
          optimizer.loadState(state);
          tf.dispose(state);
        }
      });
      optimizer.dispose();
      optimizer.dispose(); // twice without harm
      disposeParams(params);
    });
  });

  it('clippedStep is a step with clipped gradients, also after a weight was assigned from outside', async () => {
    await expectNoLeak(() => {
      const [one, two] = [variables(golden.start), variables(golden.start)];
      const [a, b] = [createAdamW(one, options), createAdamW(two, options)];
      golden.steps.forEach((step, i) => {
        const raw = unpackBoth(step.grads);
        const { grads, norm } = clipByGlobalNorm(raw, 2);
        a.step(grads);
        const norm2 = b.clippedStep(raw, 2);
        expect(norm2).toBeAllClose(norm);
        expect(two.kernel).toBeAllClose(one.kernel);
        if (i === 3)
          tf.tidy(() => [one, two].forEach(({ bias }) => (bias as tf.Variable).assign(tf.tensor1d([7, 8, 9]))));
        tf.dispose([raw, grads, norm, norm2]);
      });
      expect(two.bias).toBeAllClose(one.bias);
      expect(one.bias.dataSync()[2]).toBeGreaterThan(6); // the assigned value was not overwritten by an old copy
      a.dispose();
      b.dispose();
      tf.dispose([one, two]);
    });
  });

  it('AdamW refuses gradients and states that do not fit, and changes nothing', async () => {
    const params = variables(golden.start);
    const optimizer = createAdamW(params, options);
    const kernel = tf.ones([2, 3]);
    const other = tf.ones([1]);
    expect(() => optimizer.step({ kernel, other })).toThrow(
      new GradientError('AdamW.step: expected one gradient per weight. Missing: [bias]; unexpected: [other].', [
        'bias',
        'other',
      ]),
    );
    expect(() => optimizer.step({ kernel, bias: other })).toThrow(
      'AdamW.step: expected bias of shape [3], received [1].',
    );
    expect(() => optimizer.loadState({ 'm.kernel': kernel })).toThrow(
      'AdamW.loadState: the state does not fit the weights. Missing: [step, v.kernel, m.bias, v.bias]; unexpected: []. ' +
        'Was it saved with another model?',
    );
    await expectNoLeak(() => optimizer.step({ kernel }), {
      throws: 'AdamW.step: expected one gradient per weight. Missing: [bias]; unexpected: [].',
    });
    expect(params.kernel).toBeAllClose(golden.start.kernel.data);
    expect(() => createAdamW({ kernel }, options)).toThrow(
      'createAdamW: expected "kernel" to be a tf.Variable, received a plain tensor. Use toVariables.',
    );
    tf.dispose([kernel, other, params]);
    optimizer.dispose();
  });

  it('refuses decay rates with which the first step would divide by zero', () => {
    const params = toVariables({ w: tf.zeros([1]) });
    for (const [options, message] of [
      [{ beta1: 1 }, 'createAdamW: expected beta1 to be from 0 to below 1, received 1.'],
      [{ beta2: 1 }, 'createAdamW: expected beta2 to be from 0 to below 1, received 1.'],
      [{ beta1: -0.1 }, 'createAdamW: expected beta1 to be from 0 to below 1, received -0.1.'],
    ] as const) {
      expect(() => createAdamW(params, { learningRate: 1, ...options })).toThrow(message);
      expect(() => createHostAdamW(params, new Float32Array(1), { learningRate: 1, ...options })).toThrow(
        message.replace('createAdamW', 'createHostAdamW'),
      );
    }
    disposeParams(params);
  });

  it('clipping leaves small gradients as they are', () => {
    tf.tidy(() => {
      const { grads, norm } = clipByGlobalNorm({ a: tf.tensor1d([3, 0]), b: tf.scalar(4) }, 5.1);
      expect(norm).toBeAllClose(5);
      expect(grads.a).toBeAllClose([3, 0]);
      expect(clipByGlobalNorm({ a: tf.tensor1d([3, 0]), b: tf.scalar(4) }, 1).grads.b).toBeAllClose(0.8);
    });
  });

  it('an average follows its formula, with and without a warm-up, and across a saved state', async () => {
    await expectNoLeak(() => {
      const params = tf.tidy(() => toVariables({ w: tf.tensor1d([1, 2]) }));
      const ema = createEma(params, { decay: 0.9 });
      const warm = createEma(params, { decay: 0.9, warmup: true });
      expect(ema.params.w).toBeAllClose([1, 2]);
      tf.tidy(() => (params.w as tf.Tensor as tf.Variable).assign(tf.tensor1d([11, 22])));
      ema.update(params);
      warm.update(params);
      expect(ema.params.w).toBeAllClose([2, 4]);
      expect(warm.params.w).toBeAllClose([0.1 * 1 + 0.9 * 11, 0.1 * 2 + 0.9 * 22]); // (1 + 0) / (10 + 0)
      const state = ema.state();
      const copy = createEma(params, { decay: 0.9 });
      copy.loadState(state);
      expect(copy.numUpdates).toBe(1);
      copy.update(params);
      expect(copy.params.w).toBeAllClose([2.9, 5.8]);
      expect(() => copy.loadState({})).toThrow(
        'Ema.loadState: the state does not fit the weights. Missing: [numUpdates, params.w]; misshapen: []. ' +
          'Was it saved with another model?',
      );
      for (const average of [ema, warm, copy, copy]) average.dispose();
      tf.dispose([state, params]);
    });
  });

  it('valueAndGrads names the weights to which the loss has no connection', async () => {
    const params = tf.tidy(() => toVariables({ used: tf.scalar(3), idle: tf.scalar(1), deep: [tf.scalar(1)] }));
    const loss = (): tf.Scalar => tf.square(params.used) as tf.Scalar;
    await expectNoLeak(() => valueAndGrads(loss, params), { throws: 'the loss does not depend on "idle", "deep.0".' });
    expect(() => valueAndGrads(loss, params)).toThrow(
      new GradientError(
        'valueAndGrads: the loss does not depend on "idle", "deep.0". Leave these weights out of the tree, or pass allowMissing.',
        ['idle', 'deep.0'],
      ),
    );
    const { value, grads } = valueAndGrads(loss, params, { allowMissing: true });
    expect(value).toBeAllClose(9);
    expect(Object.keys(grads)).toEqual(['used']);
    expect(grads.used).toBeAllClose(6);
    tf.dispose([params, value, grads]);
  });

  it('valueAndGrads leaves nothing behind when the loss throws halfway', async () => {
    const params = tf.tidy(() => toVariables({ w: tf.tensor1d([1, 2]) }));
    const failing = (): tf.Scalar => {
      silu(tf.square(silu(params.w)));
      throw new Error('on purpose');
    };
    await expectNoLeak(() => valueAndGrads(failing, params), { throws: 'on purpose' });
    const { value, grads } = valueAndGrads(() => tf.sum(tf.square(params.w)) as tf.Scalar, params); // works again
    expect(grads.w).toBeAllClose([2, 4]);
    tf.dispose([params, value, grads]);
  });

  it('firstNonFinite names the first tensor with a NaN or an infinity', async () => {
    const tree = {
      a: tf.tensor1d([1, 2]),
      b: { c: tf.tensor1d([1, -Infinity]), d: tf.scalar(NaN) },
      i: tf.scalar(1, 'int32'),
    };
    await expectNoLeak(async () => {
      expect(await firstNonFinite(tree)).toBe('b.c');
      expect(await firstNonFinite({ a: tree.a, d: tree.b.d })).toBe('d');
      expect(await firstNonFinite({ a: tree.a, i: tree.i })).toBeUndefined();
    });
    tf.dispose(tree);
  });

  it('overfits one batch', async () => {
    await expectNoLeak(() => {
      const rng = createRng('overfit');
      const init = { up: initLinear(3, 16, rng), down: initLinear(16, 1, rng) };
      const params = toVariables(init);
      const x = tf.tensor2d(rng.fillNormal(new Float32Array(24)), [8, 3]);
      const target = tf.tensor2d(rng.fillNormal(new Float32Array(8)), [8, 1]);
      const loss = (): tf.Scalar =>
        tf.tidy(() => tf.mean(tf.squaredDifference(linear(params.down, silu(linear(params.up, x))), target)));
      const optimizer = createAdamW(params, { learningRate: 0.03, weightDecay: 0 });
      let last = Infinity;
      for (let i = 0; i < 150; i++) {
        const { value, grads } = valueAndGrads(loss, params);
        optimizer.step(grads);
        last = value.dataSync()[0]!;
        tf.dispose([value, grads]);
      }
      expect(last).toBeLessThan(1e-2);
      optimizer.dispose();
      tf.dispose([init, params, x, target]);
    });
  });
});

/** Values to compare with: read at once, so nothing is left. */
function unpackTidy(packed: Packed): Float32Array {
  return Float32Array.from(packed.data);
}

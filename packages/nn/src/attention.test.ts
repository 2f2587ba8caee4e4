import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import {
  attention,
  attentionWeights,
  createRng,
  initAttention,
  linear,
  scaledDotProductAttention,
  ShapeError,
  valueAndGrads,
} from './index';

const rng = createRng('attention');
const normal = (...shape: [number, number, number]): tf.Tensor3D =>
  tf.tensor3d(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape);

describe.each(['cpu', 'wasm'] as const)('scaledDotProductAttention on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('does not care for the order of the context', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 }), (order) => {
        tf.tidy(() => {
          const [q, k, v] = [normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 4)];
          const indices = tf.tensor1d(order, 'int32');
          const shuffled = scaledDotProductAttention(q, tf.gather(k, indices, 1), tf.gather(v, indices, 1), {
            heads: 2,
          });
          expect(shuffled).toBeAllClose(scaledDotProductAttention(q, k, v, { heads: 2 }));
        });
      }),
      { numRuns: 8 },
    );
  });

  it('takes a masked token as one that is not there', () => {
    tf.tidy(() => {
      const [q, k, v] = [normal(1, 3, 6), normal(1, 5, 6), normal(1, 5, 6)];
      const mask = tf.tensor2d([[1, 1, 0, 1, 0]]);
      const kept = tf.tensor1d([0, 1, 3], 'int32');
      const masked = scaledDotProductAttention(q, k, v, { heads: 3, mask });
      const cut = scaledDotProductAttention(q, tf.gather(k, kept, 1), tf.gather(v, kept, 1), { heads: 3 });
      expect(masked).toBeAllClose(cut);
    });
  });

  it('takes a token of weight 2 as one that is there twice', () => {
    tf.tidy(() => {
      const [q, k, v] = [normal(1, 3, 6), normal(1, 3, 6), normal(1, 3, 6)];
      const twice = tf.tensor1d([0, 1, 1, 2], 'int32');
      const weighted = scaledDotProductAttention(q, k, v, { heads: 3, mask: tf.tensor2d([[1, 2, 1]]) });
      const doubled = scaledDotProductAttention(q, tf.gather(k, twice, 1), tf.gather(v, twice, 1), { heads: 3 });
      expect(weighted).toBeAllClose(doubled);
    });
  });

  it('gives the same bytes for a mask of ones as without a mask', () => {
    tf.tidy(() => {
      const [q, k, v] = [normal(2, 3, 6), normal(2, 5, 6), normal(2, 5, 6)];
      const masked = scaledDotProductAttention(q, k, v, { heads: 3, mask: tf.ones([2, 5]) });
      expect(masked.dataSync()).toEqual(scaledDotProductAttention(q, k, v, { heads: 3 }).dataSync());
    });
  });

  it('tells the shares it mixed the values by', async () => {
    const params = initAttention({ queryWidth: 3, contextWidth: 5, innerWidth: 4, outWidth: 2 }, createRng('init'));
    const [x, context, mask] = [normal(2, 3, 3), normal(2, 4, 5), tf.tensor2d([[1, 0, 0.5, 2], [0, 0, 0, 0]])]; // prettier-ignore
    await expectNoLeak(() => attentionWeights(params, x, context, { heads: 1, mask }));
    await expectNoLeak(() => attentionWeights(params, x, context, { heads: 3, mask }), {
      throws: 'attentionWeights: expected heads to divide a width of 4, received 3.',
    });
    tf.tidy(() => {
      const weights = attentionWeights(params, x, context, { heads: 1, mask });
      const value = linear(params.v, context);
      const mixed = linear(params.out, tf.matMul(weights, value));
      expect(mixed).toBeAllClose(attention(params, x, context, { heads: 1, mask }));
      expect(tf.sum(weights, -1)).toBeAllClose(tf.tensor2d([[1, 1, 1], [0, 0, 0]])); // prettier-ignore
      expect(tf.slice(weights, [0, 0, 1], [1, 3, 1]).dataSync()).toEqual(new Float32Array(3));
    });
    tf.dispose([params, x, context, mask]);
  });

  it('is the same in stretches of queries, where the weights are too many to keep', async () => {
    const [q, k, v] = [normal(1, 1100, 2), normal(1, 1000, 2), normal(1, 1000, 2)];
    const f = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor): tf.Tensor =>
      scaledDotProductAttention(a as tf.Tensor3D, b as tf.Tensor3D, c as tf.Tensor3D, { heads: 1 });
    tf.tidy(() => {
      const cut = [0, 900].map((begin) => f(tf.slice(q, [0, begin, 0], [1, begin === 0 ? 900 : 200, 2]), k, v));
      expect(f(q, k, v)).toBeAllClose(tf.concat(cut, 1));
      const dy = tf.ones([1, 1100, 2]);
      const parts = [0, 900].map((begin) => {
        const size = begin === 0 ? 900 : 200;
        return tf.grads(f)([tf.slice(q, [0, begin, 0], [1, size, 2]), k, v], tf.slice(dy, [0, begin, 0], [1, size, 2]));
      });
      const [dq, dk, dv] = tf.grads(f)([q, k, v], dy);
      expect(dq).toBeAllClose(tf.concat([parts[0]![0]!, parts[1]![0]!], 1), { rtol: 1e-4, atol: 1e-6 });
      expect(dk).toBeAllClose(tf.add(parts[0]![1]!, parts[1]![1]!), { rtol: 1e-4, atol: 1e-5 });
      expect(dv).toBeAllClose(tf.add(parts[0]![2]!, parts[1]![2]!), { rtol: 1e-4, atol: 1e-5 });
    });
    tf.dispose([q, k, v]);
  });

  it('stays finite for large scores', () => {
    tf.tidy(() => {
      const q = tf.mul(normal(1, 2, 4), 1e4) as tf.Tensor3D;
      const y = scaledDotProductAttention(q, normal(1, 3, 4), tf.ones([1, 3, 4]), { heads: 1 });
      expect(y).toBeAllClose(tf.ones([1, 2, 4]));
    });
  });

  it('gives every weight of the module a gradient and leaves nothing behind', async () => {
    const params = initAttention({ queryWidth: 3, contextWidth: 5, innerWidth: 4, outWidth: 2 }, createRng('init'));
    const [x, context] = [normal(2, 3, 3), normal(2, 4, 5)];
    const mask = tf.tensor2d([[1, 1, 1, 0], [1, 0, 0, 0]]); // prettier-ignore
    const loss = (): tf.Scalar => tf.sum(tf.square(attention(params, x, context, { heads: 2, mask })));
    await expectNoLeak(() => {
      const { value, grads } = tf.tidy(() => valueAndGrads(loss, params));
      expect(Object.keys(grads)).toEqual(['q.weight', 'k.weight', 'v.weight', 'out.weight', 'out.bias']);
      for (const grad of Object.values(grads)) expect(grad.dataSync().some((g) => g !== 0)).toBe(true);
      return { value, grads };
    });
    await expectNoLeak(() => attention(params, context, x, { heads: 2 }), {
      throws: 'linear: expected x of shape [..., 3], received [2, 4, 5].',
    });
    tf.dispose([params, x, context, mask]);
  });

  it('says what does not fit', () => {
    tf.tidy(() => {
      const [q, k] = [normal(2, 3, 4), normal(2, 5, 4)];
      expect(() => scaledDotProductAttention(q, k, normal(2, 4, 4), { heads: 2 })).toThrow(
        new ShapeError('scaledDotProductAttention: expected v of shape [2, 5, 4], received [2, 4, 4].'),
      );
      expect(() => scaledDotProductAttention(q, k, k, { heads: 3 })).toThrow(
        new ShapeError('scaledDotProductAttention: expected heads to divide a width of 4, received 3.'),
      );
      expect(() => scaledDotProductAttention(q, k, k, { heads: 2, mask: tf.ones([2, 4]) })).toThrow(
        new ShapeError('scaledDotProductAttention: expected mask of shape [2, 5], received [2, 4].'),
      );
    });
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import { createRng, geglu, gelu, groupNormSilu, initGeglu, initLinear, linear, ShapeError } from './index';
import { productOverRows, sumRows } from './linear';

const normal = (name: string, ...shape: number[]): tf.Tensor =>
  tf.tensor(createRng(name).fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape);

describe('initLinear', () => {
  beforeAll(() => setupBackend('cpu'));

  it('draws uniformly within ±gain/sqrt(in), and another matrix at each call', () => {
    tf.tidy(() => {
      const rng = createRng('init');
      const { weight, bias } = initLinear(16, 50, rng, { gain: 2 });
      const values = weight.dataSync();
      expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(0.5);
      expect(Math.max(...values)).toBeGreaterThan(0.48);
      expect(bias!.shape).toEqual([50]);
      expect(initLinear(16, 50, rng, { gain: 2 }).weight).not.toBeAllClose(weight);
      expect(initLinear(2, 2, rng, { gain: 0 }).weight).toBeAllClose([[0, 0], [0, 0]]); // prettier-ignore
      expect(initLinear(2, 2, rng, { bias: false }).bias).toBeUndefined();
    });
  });

  it('says which width it expected', () => {
    tf.tidy(() => {
      expect(() => linear(initLinear(3, 2, createRng()), tf.ones([2, 4]))).toThrow(
        new ShapeError('linear: expected x of shape [..., 3], received [2, 4].'),
      );
    });
  });
});

// The fast paths of wasm are taken from some hundred rows on; goldens are smaller than that.
describe('with many rows on wasm', () => {
  beforeAll(() => setupBackend('wasm'));

  it.each([
    [256, 5],
    [1056, 3],
    [997, 2],
    [512 * 9, 4],
  ])('sumRows and productOverRows agree with plain ops on %d rows', (N, O) => {
    tf.tidy(() => {
      const x = normal('x', N, O) as tf.Tensor2D;
      const y = normal('y', N, 4) as tf.Tensor2D;
      expect(sumRows(x)).toBeAllClose(tf.sum(x, 0), { rtol: 1e-4, atol: 1e-3 }); // sums of up to 4608 normals
      expect(productOverRows(x, y)).toBeAllClose(tf.matMul(x, y, true, false), { rtol: 1e-4, atol: 1e-3 });
    });
  });

  it('geglu and groupNormSilu have the gradients of their compositions', () => {
    tf.tidy(() => {
      const x = normal('x', 2, 256, 6) as tf.Tensor3D;
      const { proj } = initGeglu(6, 8, createRng('w'));
      const ours = tf.valueAndGrads((a, w, b) =>
        tf.sum(tf.square(geglu({ proj: { weight: w as tf.Tensor2D, bias: b as tf.Tensor1D } }, a!))),
      );
      const plain = tf.valueAndGrads((a, w, b) => {
        const both = tf.add(tf.matMul(tf.reshape(a!, [512, 6]), w as tf.Tensor2D), b!);
        const gate = tf.slice(both, [0, 8], [512, 8]);
        const phi = tf.mul(0.5, tf.add(1, tf.erf(tf.mul(gate, Math.SQRT1_2))));
        return tf.sum(tf.square(tf.mul(tf.slice(both, [0, 0], [512, 8]), tf.mul(gate, phi))));
      });
      expectSame(ours([x, proj.weight, proj.bias!]), plain([x, proj.weight, proj.bias!]));

      const [weight, bias] = [normal('scale', 6), normal('shift', 6)];
      const oursNorm = tf.valueAndGrads((a, w, b) =>
        tf.sum(tf.square(groupNormSilu({ weight: w as tf.Tensor1D, bias: b as tf.Tensor1D }, a!, { groups: 2 }))),
      );
      const plainNorm = tf.valueAndGrads((a, w, b) => {
        const grouped = tf.reshape(a!, [2, 256, 2, 3]);
        const { mean, variance } = tf.moments(grouped, [1, 3], true);
        const hat = tf.reshape(tf.div(tf.sub(grouped, mean), tf.sqrt(tf.add(variance, 1e-5))), [2, 256, 6]);
        const u = tf.add(tf.mul(hat, w!), b!);
        return tf.sum(tf.square(tf.mul(u, tf.sigmoid(u))));
      });
      expectSame(oursNorm([x, weight, bias]), plainNorm([x, weight, bias]));
    });
  });

  it('gelu is exact to a few units of float32, everywhere', () => {
    tf.tidy(() => {
      const x = tf.linspace(-12, 12, 4801);
      const exact = tf.mul(tf.mul(x, 0.5), tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
      expect(gelu(x)).toBeAllClose(exact, { rtol: 2e-7, atol: 6e-7 });
      expect(gelu(tf.tensor1d([-1e4, -1e30, 1e4, 0]))).toBeAllClose([0, 0, 1e4, 0]);
      const slope = tf.grad((a: tf.Tensor) => gelu(a))(x);
      const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
      const cdf = tf.mul(0.5, tf.add(1, tf.erf(tf.mul(x, Math.SQRT1_2))));
      expect(slope).toBeAllClose(tf.add(cdf, tf.mul(x, density)), { rtol: 1e-6, atol: 1e-6 });
    });
  });

  type Outcome = { value: tf.Tensor; grads: tf.Tensor[] };
  function expectSame(a: Outcome, b: Outcome): void {
    expect(a.value).toBeAllClose(b.value, { rtol: 1e-4 }); // a sum of thousands of squares in float32
    a.grads.forEach((grad, i) => expect(grad).toBeAllClose(b.grads[i], { rtol: 1e-3, atol: 1e-3 }));
  }
});

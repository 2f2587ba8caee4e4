import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import {
  createRng,
  groupNorm,
  groupNormSilu,
  initGroupNorm,
  initLayerNorm,
  layerNorm,
  ShapeError,
  silu,
} from './index';

const rng = createRng('norm');
const normal = (...shape: number[]): tf.Tensor =>
  tf.tensor(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape);

describe.each(['cpu', 'wasm'] as const)('normalisation on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('does not change with the scale and shift of its input', () => {
    const scale = fc.double({ min: 0.5, max: 20, noNaN: true });
    const shift = fc.double({ min: -20, max: 20, noNaN: true });
    fc.assert(
      fc.property(scale, shift, (a, b) => {
        tf.tidy(() => {
          const x = normal(2, 4, 4, 6);
          const moved = tf.add(tf.mul(x, a), b);
          const tolerance = { rtol: 1e-3, atol: 2e-4 }; // a mean of 20 costs 5 bits
          const group = initGroupNorm(6);
          const plain = groupNorm(group, x, { groups: 3, eps: 1e-5 / a ** 2 });
          expect(groupNorm(group, moved, { groups: 3 })).toBeAllClose(plain, tolerance);
          const layer = initLayerNorm(6);
          expect(layerNorm(layer, moved)).toBeAllClose(layerNorm(layer, x, { eps: 1e-5 / a ** 2 }), tolerance);
        });
      }),
      { numRuns: 10 },
    );
  });

  it('keeps images and groups apart', () => {
    tf.tidy(() => {
      const x = normal(2, 3, 3, 4);
      const alone = groupNorm(initGroupNorm(2), tf.slice(x, [1, 0, 0, 2], [1, 3, 3, 2]), { groups: 1 });
      const all = groupNorm(initGroupNorm(4), x, { groups: 2 });
      expect(tf.slice(all, [1, 0, 0, 2], [1, 3, 3, 2])).toBeAllClose(alone);
    });
  });

  it('groupNormSilu is silu of groupNorm, also at a large mean', () => {
    tf.tidy(() => {
      const x = tf.add(normal(2, 5, 4), 1000);
      const params = { weight: normal(4) as tf.Tensor1D, bias: normal(4) as tf.Tensor1D };
      const options = { groups: 2, eps: 1e-6 };
      expect(groupNormSilu(params, x, options)).toBeAllClose(silu(groupNorm(params, x, options)), {
        rtol: 1e-5,
        atol: 1e-5,
      });
    });
  });

  it('says what does not fit', () => {
    tf.tidy(() => {
      const params = initGroupNorm(4);
      expect(() => groupNorm(params, tf.ones([2, 3]), { groups: 2 })).toThrow(
        new ShapeError('groupNorm: expected x of shape [B, ..., 4], received [2, 3].'),
      );
      expect(() => groupNormSilu(params, tf.ones([2, 4]), { groups: 3 })).toThrow(
        new ShapeError('groupNormSilu: expected groups to divide 4 channels, received 3.'),
      );
      expect(() => layerNorm(initLayerNorm(4), tf.ones([2, 3]))).toThrow(
        new ShapeError('layerNorm: expected x of shape [..., 4], received [2, 3].'),
      );
    });
  });
});

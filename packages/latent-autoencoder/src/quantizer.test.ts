import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { lookUpCodes, nearestCodes, quantizationLoss, quantize, setCodebook } from './quantizer';

beforeAll(() => setupBackend('cpu'));

const book = (codes: number[][]): { quantize: { embedding: { weight: tf.Tensor2D } } } => ({
  quantize: { embedding: { weight: tf.tensor2d(codes) } },
});

describe('nearestCodes', () => {
  it('finds the code at the least distance', () => {
    const vector = fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(vector, { minLength: 1, maxLength: 9 }),
        fc.array(vector, { minLength: 1, maxLength: 9 }),
        (codes, vectors) => {
          const found = tf.tidy(() => Array.from(nearestCodes(tf.tensor2d(codes), tf.tensor2d(vectors)).dataSync()));
          const expected = vectors.map((z) => {
            const distances = codes.map((e) => e.reduce((sum, x, d) => sum + (x - z[d]!) ** 2, 0));
            return distances.indexOf(Math.min(...distances)); // the first of equals
          });
          expect(found).toEqual(expected);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('gives ties to the lowest index', () => {
    const codes = tf.tensor2d([[1], [-1], [1]]);
    expect(Array.from(nearestCodes(codes, tf.tensor2d([[0], [2]])).dataSync())).toEqual([0, 0]);
  });

  it('gives the same when it works in several parts', () => {
    const K = 1024; // 4096 vectors at a time
    const codes = tf.tensor2d(
      Float32Array.from({ length: K }, (_, i) => i),
      [K, 1],
    );
    const expected = Array.from({ length: 5000 }, (_, n) => (n * 7) % K);
    const z = tf.tensor2d(expected, [5000, 1]);
    expect(Array.from(nearestCodes(codes, z).dataSync())).toEqual(expected);
    tf.dispose([codes, z]);
  });
});

describe('quantize', () => {
  it('passes gradients to the latents unchanged and none to the codebook', () => {
    const params = book([
      [0, 0],
      [1, 1],
    ]);
    const z = tf.tensor4d([0.1, 0.2, 0.9, 0.7], [1, 1, 2, 2]);
    const weights = tf.tensor4d([1, 2, 3, 4], [1, 1, 2, 2]);
    const dz = tf.grad((x) => tf.sum(tf.mul(quantize(params, x as tf.Tensor4D).zQ, weights)))(z);
    expect(dz).toBeAllClose([1, 2, 3, 4], { rtol: 0, atol: 0 });
  });

  it('quantises the parts of a wide latent each on its own', () => {
    const params = book([
      [0, 0],
      [1, 1],
    ]);
    const z = tf.tensor4d([0.1, 0.2, 0.9, 0.7, 2, 2, -3, 0], [1, 1, 2, 4]);
    const { zQ, indices } = quantize(params, z);
    expect(indices.shape).toEqual([1, 1, 4]);
    expect(Array.from(indices.dataSync())).toEqual([0, 1, 1, 0]);
    expect(zQ.shape).toEqual([1, 1, 2, 4]);
    expect(zQ).toBeAllClose([0, 0, 1, 1, 1, 1, 0, 0], { rtol: 0, atol: 0 });
    expect(lookUpCodes(params, indices, 4)).toBeAllClose(zQ, { rtol: 0, atol: 0 });
  });

  it('leaves nothing behind', async () => {
    const params = book([[0, 0]]);
    const z = tf.zeros([1, 2, 2, 2]) as tf.Tensor4D;
    await expectNoLeak(() => quantize(params, z));
    const wrong = tf.zeros([1, 2, 2, 3]) as tf.Tensor4D;
    await expectNoLeak(() => quantize(params, wrong), { throws: 'quantize: expected z of shape' });
  });

  it('says which width it needs', () => {
    const params = book([[0, 0]]);
    expect(() => quantize(params, tf.zeros([1, 2, 2, 3]) as tf.Tensor4D)).toThrow(
      'quantize: expected z of shape [B, h, w, c] with c a multiple of 2, received [1, 2, 2, 3]. Pass what encode returned.',
    );
  });
});

describe('quantizationLoss', () => {
  it('pulls the codes and the latents towards each other, each with its own strength', () => {
    const z = tf.tensor4d([1, 0], [1, 1, 1, 2]);
    const codes = tf.tensor4d([0, 2], [1, 1, 1, 2]);
    const strength = { codebook: 3, commitment: 0.5 };
    const f = (a: tf.Tensor, b: tf.Tensor): tf.Scalar => quantizationLoss(a as tf.Tensor4D, b as tf.Tensor4D, strength);
    expect(f(z, codes)).toBeAllClose([3.5 * 2.5], { rtol: 1e-6, atol: 0 });
    const [dz, dCodes] = tf.grads(f)([z, codes]);
    expect(dz).toBeAllClose([0.5, -1], { rtol: 1e-6, atol: 0 }); // commitment · 2 (z - e) / 2
    expect(dCodes).toBeAllClose([-3, 6], { rtol: 1e-6, atol: 0 });
  });
});

describe('lookUpCodes', () => {
  it('gives the chosen rows, with gradients to the codebook', async () => {
    const indices = tf.tensor3d([2, 0, 2, 1], [1, 2, 2], 'int32');
    const look = (weight: tf.Tensor): tf.Tensor =>
      lookUpCodes({ quantize: { embedding: { weight: weight as tf.Tensor2D } } }, indices, 2);
    const weight = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
    expect(look(weight)).toBeAllClose([5, 6, 1, 2, 5, 6, 3, 4], { rtol: 0, atol: 0 });
    await checkGradients(look, [weight]);
  });
});

describe('setCodebook', () => {
  it('changes the values in place and leaves nothing behind', async () => {
    const weight = tf.variable(tf.zeros([2, 2])) as unknown as tf.Tensor2D;
    const params = { quantize: { embedding: { weight } } };
    await expectNoLeak(() => setCodebook(params, Float32Array.of(1, 2, 3, 4)));
    expect(weight).toBeAllClose([1, 2, 3, 4], { rtol: 0, atol: 0 });
    expect(() => setCodebook(params, new Float32Array(3))).toThrow(
      'setCodebook: expected 4 values for codes of shape [2, 2], received 3.',
    );
  });

  it('refuses weights that are not trainable', () => {
    expect(() => setCodebook(book([[0, 0]]), new Float32Array(2))).toThrow(
      'setCodebook: expected trainable weights, received plain tensors. Pass them through toVariables.',
    );
  });
});

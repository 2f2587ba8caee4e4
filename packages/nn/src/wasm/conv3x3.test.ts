import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { createRng } from '../index';
import { wasmConv3x3, wasmConv3x3InputGradient } from './conv3x3';

beforeAll(() => setupBackend('wasm'));

const rng = createRng('conv3x3');
const normal = (...shape: [number, number, number, number]): tf.Tensor4D =>
  tf.tensor4d(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);

const SIDES = { top: 1, bottom: 1, left: 1, right: 1 };

describe('3x3 convolutions on wasm', () => {
  it.each([
    [9, 7, 68, 140],
    [8, 8, 132, 4],
    [1, 3, 4, 260],
  ])('give an image of %i x %i, %i to %i channels, what they give it among others', (H, W, C, K) => {
    tf.tidy(() => {
      const B = Math.ceil(129 / (Math.ceil(H / 2) * Math.ceil(W / 2))); // more tiles than go by channels
      const weight = normal(3, 3, C, K);
      const bias = tf.tensor1d(rng.fillNormal(new Float32Array(K)));
      const convolutions = [
        { x: normal(B, H, W, C), convolve: (x: tf.Tensor4D) => wasmConv3x3(x, weight, bias, SIDES) },
        { x: normal(B, H, W, C), convolve: (x: tf.Tensor4D) => wasmConv3x3(x, weight, undefined, SIDES) },
        { x: normal(B, H, W, K), convolve: (dy: tf.Tensor4D) => wasmConv3x3InputGradient(dy, weight, SIDES) },
      ];
      for (const { x, convolve } of convolutions) {
        const alone = tf.split<tf.Tensor4D>(x, B).map((image) => convolve(image));
        expect(tf.concat(alone).dataSync()).toEqual(convolve(x).dataSync());
      }
    });
  });

  it('leave nothing behind', async () => {
    const [x, weight] = [normal(1, 4, 4, 8), normal(3, 3, 8, 8)];
    await expectNoLeak(() => wasmConv3x3(x, weight, undefined, SIDES));
    tf.dispose([x, weight]);
  });
});

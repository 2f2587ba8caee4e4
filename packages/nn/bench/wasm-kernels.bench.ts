// Our wasm kernels against the operations of tfjs on the same backend and one thread, in turn, each ended by reading one
// number back. The sizes are those of picture-book's U-Net.
//
//   npm run bench -- -p @sgdiff/nn
import * as tf from '@tensorflow/tfjs-core';
import { bench, describe } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import { conv2d, createRng, linear, scaledDotProductAttention } from '../src/index';

await setupBackend('wasm');
const rng = createRng('bench');
const normal = (...shape: number[]): tf.Tensor => tf.tensor(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape);
const pair = (name: string, ours: () => tf.Tensor, plain: () => tf.Tensor): void => {
  describe(name, () => {
    for (const [who, work] of [['ours', ours], ['tfjs', plain]] as const) {
      bench(who, () => void tf.tidy(() => tf.slice(tf.reshape(work(), [-1]), 0, 1).dataSync()), { time: 1500, warmupTime: 300 });
    }
  });
};

const x = normal(16, 16, 16, 96) as tf.Tensor4D;
const weight = normal(3, 3, 96, 96) as tf.Tensor4D;
pair('3x3 convolution, 16 x 16 x 16, 96 to 96', () => conv2d({ weight }, x), () => tf.conv2d(x, weight, 1, 'same'));

// tfjs has no filter gradient on wasm: there its plain counterpart is the fastest composition of its forward convolutions.
pair(
  '3x3 convolution, gradients of input and weight',
  () => {
    const [dx, dw] = tf.grads((a, w) => conv2d({ weight: w as tf.Tensor4D }, a as tf.Tensor4D))([x, weight], x);
    return tf.concat([tf.reshape(dx!, [-1]), tf.reshape(dw!, [-1])]);
  },
  () => {
    tf.conv2d(x, weight, 1, 'same');
    const dx = tf.conv2d(x, tf.transpose(tf.reverse(weight, [0, 1]), [0, 1, 3, 2]), 1, 'same');
    const images = tf.transpose(x, [3, 1, 2, 0]) as tf.Tensor4D; // [C, H, W, B]
    const filter = tf.transpose(x, [1, 2, 0, 3]) as tf.Tensor4D; // [H, W, B, K]
    const dw = tf.conv2d(images, filter, 1, [[0, 0], [1, 1], [1, 1], [0, 0]]); // [C, 3, 3, K]
    return tf.concat([tf.reshape(dx, [-1]), tf.reshape(tf.transpose(dw, [1, 2, 0, 3]), [-1])]);
  },
);

const rows = normal(1024, 96) as tf.Tensor2D;
const matrix = normal(96, 384) as tf.Tensor2D;
const dRows = normal(1024, 384) as tf.Tensor2D;
pair(
  'linear layer, 1024 x 96 to 384, with gradients',
  () => tf.concat(tf.grads((a, w) => linear({ weight: w as tf.Tensor2D }, a!))([rows, matrix], dRows).map((grad) => tf.reshape(grad, [-1]))),
  () => tf.concat(tf.grads((a, w) => tf.matMul(a!, w!))([rows, matrix], dRows).map((grad) => tf.reshape(grad, [-1]))),
);

const tokens = normal(1, 256, 256) as tf.Tensor3D;
pair(
  'attention, 8 heads x 256 tokens x 32, with gradients',
  () => tf.concat(tf.grads((q, k, v) => scaledDotProductAttention(q as tf.Tensor3D, k as tf.Tensor3D, v as tf.Tensor3D, { heads: 8 }))([tokens, tokens, tokens], tokens)),
  () =>
    tf.concat(
      tf.grads((q, k, v) => {
        const split = (t: tf.Tensor): tf.Tensor => tf.transpose(tf.reshape(t, [256, 8, 32]), [1, 0, 2]); // [h, N, d]
        const weights = tf.softmax(tf.mul(tf.matMul(split(q!), split(k!), false, true), 1 / Math.sqrt(32)));
        return tf.reshape(tf.transpose(tf.matMul(weights, split(v!)), [1, 0, 2]), [1, 256, 256]);
      })([tokens, tokens, tokens], tokens),
    ),
);

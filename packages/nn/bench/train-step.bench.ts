// One training step (loss, gradients, AdamW) of a small convolutional network, on wasm (one thread) and on tfjs'
// backend in plain JS. Both run in this process, in turn, each step ended by reading the loss back.
//
//   npm run bench
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, bench, describe } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import {
  conv2d,
  createAdamW,
  createRng,
  disposeParams,
  groupNormSilu,
  initConv2d,
  initGroupNorm,
  toVariables,
  valueAndGrads,
} from '../src/index';

const B = 4;
const SIZE = 16;
const C = 32;

type Trainer = { step(): number; dispose(): void };

function createTrainer(): Trainer {
  const rng = createRng('bench');
  const init = {
    first: initConv2d(3, 4, C, rng),
    blocks: [0, 1].map(() => ({ norm: initGroupNorm(C), conv: initConv2d(3, C, C, rng) })),
    last: initConv2d(3, C, 4, rng),
  };
  const params = toVariables(init);
  disposeParams(init);
  const optimizer = createAdamW(params, { learningRate: 1e-3 });
  const images = tf.tensor4d(rng.fillNormal(new Float32Array(B * SIZE * SIZE * 4)), [B, SIZE, SIZE, 4]);
  const loss = (): tf.Scalar =>
    tf.tidy(() => {
      let h = conv2d(params.first, images); // [B, H, W, C]
      for (const { norm, conv } of params.blocks) h = tf.add(h, conv2d(conv, groupNormSilu(norm, h, { groups: 8 })));
      return tf.mean(tf.squaredDifference(conv2d(params.last, h), images));
    });
  return {
    step() {
      const { value, grads } = valueAndGrads(loss, params);
      optimizer.step(grads);
      const read = value.dataSync()[0]!;
      tf.dispose([value, grads]);
      return read;
    },
    dispose() {
      optimizer.dispose();
      tf.dispose([params, images]);
    },
  };
}

describe(`training step, ${B} x ${SIZE} x ${SIZE}, ${C} channels`, async () => {
  const trainers = new Map<string, Trainer>();
  for (const backend of ['wasm', 'cpu'] as const) {
    await setupBackend(backend);
    trainers.set(backend, createTrainer());
    trainers.get(backend)!.step();
  }
  for (const [backend, trainer] of trainers) {
    bench(backend, () => void trainer.step(), {
      iterations: backend === 'wasm' ? 10 : 3,
      time: 0,
      warmupIterations: 1,
      warmupTime: 0,
      setup: () => void tf.setBackend(backend),
    });
  }
  afterAll(() => trainers.forEach((trainer) => trainer.dispose()));
});

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import { boundedLogitScale, contrastiveLoss, INITIAL_LOGIT_SCALE, MAX_LOGIT_SCALE, unitRows } from './index';

type Packed = { readonly shape: [number, number]; readonly data: number[] };
type ContrastiveGolden = {
  graphs: Packed;
  images: Packed;
  hardGraphs: Packed;
  logitScale: number;
  loss: number;
  grads: Record<string, Packed>;
  hardLoss: number;
  hardGrads: Record<string, Packed>;
};

describe.each(['cpu', 'wasm'] as const)('contrastiveLoss on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('agrees with PyTorch in value and gradients, with and without hard negatives', () => {
    const golden = readGolden<ContrastiveGolden>(import.meta.url, '../fixtures/contrastive.golden.json');
    tf.tidy(() => {
      const tensor = (x: Packed): tf.Tensor2D => tf.tensor2d(x.data, x.shape);
      const inputs = [tensor(golden.graphs), tensor(golden.images), tf.scalar(golden.logitScale)];
      const compare = (xs: tf.Tensor[], loss: number, grads: Record<string, Packed>): void => {
        const f = (...[graphs, images, scale, hard]: tf.Tensor[]): tf.Scalar =>
          contrastiveLoss(graphs as tf.Tensor2D, images as tf.Tensor2D, scale!, hard as tf.Tensor2D | undefined);
        expect(f(...xs)).toBeAllClose(loss, { rtol: 1e-5, atol: 0 }); // float32 against float64
        const received = tf.grads(f)(xs);
        Object.values(grads).forEach((expected, i) => {
          expect(tf.reshape(received[i]!, [-1])).toBeAllClose(expected.data, { rtol: 1e-4, atol: 1e-5 });
        });
      };
      compare(inputs, golden.loss, golden.grads);
      compare([...inputs, tensor(golden.hardGraphs)], golden.hardLoss, golden.hardGrads);
    });
  });
});

describe('contrastiveLoss', () => {
  beforeAll(() => setupBackend('cpu'));

  it('is ln B for features that tell nothing, and near 0 for matched orthogonal ones', () => {
    tf.tidy(() => {
      const same = tf.ones<tf.Rank.R2>([6, 4]);
      expect(contrastiveLoss(same, same, tf.scalar(INITIAL_LOGIT_SCALE))).toBeAllClose(Math.log(6), {
        rtol: 1e-6,
        atol: 0,
      });
      const apart = tf.eye(4);
      // ln(1 + 3 e^-100) is 0 in float32.
      expect(contrastiveLoss(apart, apart, tf.scalar(MAX_LOGIT_SCALE))).toBeAllClose(0, { rtol: 0, atol: 1e-6 });
    });
  });

  it('does not depend on the lengths of the vectors, nor on the order of the pairs', () => {
    tf.tidy(() => {
      const graphs = tf.tensor2d([1, 2, -1, 0.5, 0.3, 2], [3, 2]);
      const images = tf.tensor2d([2, 1, 1, 1, -1, 3], [3, 2]);
      const scale = tf.scalar(1);
      const loss = contrastiveLoss(graphs, images, scale);
      expect(contrastiveLoss(tf.mul(graphs, [[3], [0.1], [7]]), images, scale)).toBeAllClose(loss, {
        rtol: 1e-5,
        atol: 0,
      });
      const order = tf.tensor1d([2, 0, 1], 'int32');
      const moved = contrastiveLoss(tf.gather(graphs, order), tf.gather(images, order), scale);
      expect(moved).toBeAllClose(loss, { rtol: 1e-5, atol: 0 });
    });
  });

  it('stays finite, with finite gradients, for a zero vector and at scale 100', async () => {
    const zero = tf.tensor2d([0, 0, 1, -1], [2, 2]);
    const [grad] = tf.grads((x) => contrastiveLoss(x as tf.Tensor2D, zero, tf.scalar(MAX_LOGIT_SCALE)))([zero]);
    expect((await grad!.data()).every(Number.isFinite)).toBe(true);
    tf.dispose([zero, grad!]);
  });

  it('leaves no tensor behind', async () => {
    const [x, scale] = [tf.ones<tf.Rank.R2>([3, 2]), tf.scalar(1)];
    await expectNoLeak(() => contrastiveLoss(x, x, scale, x));
    tf.dispose([x, scale]);
  });
});

describe('boundedLogitScale', () => {
  beforeAll(() => setupBackend('cpu'));

  it.each([
    // value, bounded value, and the gradient for a loss that falls (+1) or rises (-1) as the scale falls
    [2, 2, 1, -1],
    [MAX_LOGIT_SCALE + 0.1, MAX_LOGIT_SCALE, 1, 0],
    [-0.1, 0, 0, -1],
  ])('bounds %s to %s and lets the gradient only lead back', (value, bounded, rising, falling) => {
    tf.tidy(() => {
      const x = tf.scalar(value);
      expect(boundedLogitScale(x)).toBeAllClose(bounded, { rtol: 1e-6, atol: 0 });
      expect(tf.grad((y) => boundedLogitScale(y))(x)).toBeAllClose(rising);
      expect(tf.grad((y) => tf.neg(boundedLogitScale(y)))(x)).toBeAllClose(falling);
    });
  });
});

describe('unitRows', () => {
  beforeAll(() => setupBackend('cpu'));

  it('scales rows to length 1 and leaves a zero row', () => {
    tf.tidy(() => {
      expect(unitRows(tf.tensor2d([3, 4, 0, 0], [2, 2]))).toBeAllClose([[0.6, 0.8], [0, 0]]); // prettier-ignore
    });
  });
});

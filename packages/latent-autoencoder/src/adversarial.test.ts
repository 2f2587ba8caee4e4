import * as tf from '@tensorflow/tfjs-core';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { adaptiveWeight, generatorLoss, hingeDiscriminatorLoss } from './adversarial';

beforeAll(() => setupBackend('cpu'));

const number = (x: tf.Tensor): number => x.dataSync()[0]!;

describe('hingeDiscriminatorLoss', () => {
  it('counts real logits below 1 and decoded ones above -1', () => {
    const loss = hingeDiscriminatorLoss(tf.tensor1d([2, 0.5, -1]), tf.tensor1d([-3, 0, 1]));
    expect(number(loss)).toBeCloseTo(0.5 * ((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3), 6);
  });

  it('is 0 once all are told apart by a margin, and 1 when nothing is told', () => {
    expect(number(hingeDiscriminatorLoss(tf.tensor1d([1, 5]), tf.tensor1d([-1, -9])))).toBe(0);
    expect(number(hingeDiscriminatorLoss(tf.zeros([4]), tf.zeros([4])))).toBe(1);
  });

  it('has the gradient of finite differences', () =>
    checkGradients((real, fake) => hingeDiscriminatorLoss(real!, fake!), [tf.tensor1d([0.2, 3, -1]), tf.tensor1d([-2, 0.3, -0.5])]));
});

it('generatorLoss falls as decoded images look real', () => {
  expect(number(generatorLoss(tf.tensor1d([1, -4, 0])))).toBe(1);
});

describe('adaptiveWeight', () => {
  it('brings the second gradient to the length of the first', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.1, max: 100, noNaN: true }), fc.double({ min: 1, max: 100, noNaN: true }), (a, b) => {
        const [first, second] = [tf.tensor2d([[3, 0], [0, 4]]), tf.tensor2d([[0, 12], [5, 0]])]; // prettier-ignore
        expect(number(adaptiveWeight(tf.mul(first, a), tf.mul(second, b)))).toBeCloseTo((5 * a) / (13 * b), 3);
      }),
    );
  });

  it('ends at 10,000 where the second vanishes, and is 0 where the first does', () => {
    expect(number(adaptiveWeight(tf.tensor1d([2]), tf.tensor1d([0])))).toBe(1e4);
    expect(number(adaptiveWeight(tf.tensor1d([0]), tf.tensor1d([3])))).toBe(0);
  });

  it('leaves nothing behind', async () => {
    const [a, b] = [tf.tensor1d([1, 2]), tf.tensor1d([2, 1])];
    await expectNoLeak(() => [adaptiveWeight(a, b), hingeDiscriminatorLoss(a, b), generatorLoss(a)]);
  });
});

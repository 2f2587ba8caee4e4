import { createRng, disposeParams, flattenParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { toyLoss, toyStage, type ToyParams } from '../testing/toy-stage';
import { assignFlat, isTrainingWorker, partOf, writeFlat, WHOLE_BATCH, type BatchPart } from './data-parallel';
import { meanInPlace } from './optimiser';

beforeAll(() => setupBackend('cpu'));

describe('partOf', () => {
  it('cuts a batch into equal parts that together are the batch, in order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }), (count, each) => {
        const batch = Int32Array.from({ length: count * each }, (_, i) => 100 + i);
        const parts = Array.from({ length: count }, (_, index) => partOf(batch, { index, count }));
        expect(parts.map((part) => part.length)).toEqual(parts.map(() => each));
        expect(parts.flatMap((part) => [...part])).toEqual([...batch]);
      }),
    );
  });

  it('is all of the batch where nothing is split', () => {
    expect(partOf(Int32Array.of(3, 1, 2), WHOLE_BATCH)).toEqual(Int32Array.of(3, 1, 2));
  });
});

describe('gradients of parts', () => {
  const params = (): ToyParams => {
    const fresh = toyStage().init();
    const variables = toVariables(fresh);
    disposeParams(fresh);
    return variables;
  };
  const gradients = (weights: ToyParams, part: BatchPart): Record<string, tf.Tensor> => {
    const { value, grads } = valueAndGrads(() => toyLoss(weights, 3, part).loss, weights);
    value.dispose();
    return grads;
  };
  const flat = async (grads: Record<string, tf.Tensor>): Promise<Float32Array> => {
    const out = new Float32Array(Object.values(grads).reduce((sum, { size }) => sum + size, 0));
    await writeFlat(Object.values(grads), out);
    return out;
  };

  it.each([2, 4])('average to those of the whole batch (%d parts)', async (count) => {
    const weights = params();
    const whole = gradients(weights, WHOLE_BATCH);
    const parts = Array.from({ length: count }, (_, index) => gradients(weights, { index, count }));
    const [mean, ...others] = await Promise.all(parts.map(flat));
    expect(mean).not.toEqual(await flat(whole));
    meanInPlace(mean, others);
    // float32 sums in another order
    expect(mean).toBeAllClose(await flat(whole), { rtol: 1e-5, atol: 1e-6 });
    tf.dispose([whole, ...parts]);
    disposeParams(weights);
  });

  it('are of weights that reach the worker as they are', async () => {
    const weights = params();
    const tensors = flattenParams(weights).map(({ tensor }) => tensor as tf.Variable);
    const sent = new Float32Array(4);
    await writeFlat(tensors, sent);
    const others = createRng(1).fillNormal(new Float32Array(4));
    assignFlat(tensors, others);
    expect(weights.weight.dataSync()).toEqual(others.slice(0, 3));
    expect(weights.bias.dataSync()).toEqual(others.slice(3));
    assignFlat(tensors, sent);
    expect(weights.weight.dataSync()).toEqual(sent.slice(0, 3));
    await expectNoLeak(() => assignFlat(tensors, sent));
    disposeParams(weights);
  });
});

it('this thread is no training worker', () => {
  expect(isTrainingWorker()).toBe(false);
});

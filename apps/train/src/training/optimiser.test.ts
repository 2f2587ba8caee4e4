import { disposeParams, flattenParams, toVariables, valueAndGrads } from '@sgdiff/nn';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { toyLoss, toyStage, type ToyParams } from '../testing/toy-stage';
import { assignFlat, WHOLE_BATCH, writeFlat, type BatchPart, type Workers } from './data-parallel';
import { createBackendOptimiser, createSharedOptimiser, meanInPlace, type Optimiser } from './optimiser';

beforeAll(() => setupBackend('cpu'));

const { optimiser: config, init } = toyStage();

function variables(): ToyParams {
  const fresh = init();
  const made = toVariables(fresh);
  disposeParams(fresh);
  return made;
}

function gradients(params: ToyParams, step: number, part: BatchPart): Record<string, tf.Tensor> {
  const { value, grads } = valueAndGrads(() => toyLoss(params, step, part).loss, params);
  value.dispose();
  return grads;
}

/** One worker without a thread: it computes the second half of each batch when it is asked for it. */
function halfWorker(): Workers {
  let task: { step: number; weights: Float32Array } | undefined;
  return {
    ownPart: { index: 0, count: 2 },
    begin(step, weights) {
      task = { step, weights };
    },
    async gradients() {
      const params = variables();
      const entries = flattenParams(params);
      assignFlat(entries.map(({ tensor }) => tensor as tf.Variable), task!.weights);
      const grads = gradients(params, task!.step, { index: 1, count: 2 });
      const out = new Float32Array(4);
      await writeFlat(entries.map(({ path }) => grads[path]), out);
      tf.dispose(grads);
      disposeParams(params);
      return [out];
    },
    stop: async () => undefined,
  };
}

async function run(optimiser: Optimiser<ToyParams>, params: ToyParams, part: BatchPart, from: number, to: number): Promise<number[]> {
  const norms: number[] = [];
  for (let step = from; step < to; step++) {
    optimiser.begin(step);
    const grads = gradients(params, step, part);
    norms.push((await optimiser.update(grads, 0.05)).norm);
    tf.dispose(grads);
  }
  return norms;
}

const numbers = (params: ToyParams): number[] => [...params.weight.dataSync(), ...params.bias.dataSync()];

describe('createSharedOptimiser', () => {
  it('trains on halves of batches as one thread on whole ones, and their states can be exchanged', async () => {
    const [one, two] = [variables(), variables()];
    await expectNoLeak(async () => {
      const alone = createBackendOptimiser(one, config);
      const shared = await createSharedOptimiser(two, config, halfWorker());
      for (let first = 0; first < 30; first += 10) {
        const norms = await run(alone, one, WHOLE_BATCH, first, first + 10);
        expect(await run(shared, two, halfWorker().ownPart, first, first + 10)).toBeAllClose(norms, { rtol: 1e-4, atol: 1e-5 });
        expect(numbers(two)).toBeAllClose(numbers(one), { rtol: 1e-4, atol: 1e-5 }); // sums in another order
        expect(numbers(shared.averaged())).toBeAllClose(numbers(alone.averaged()), { rtol: 1e-4, atol: 1e-5 });
        expect(numbers(shared.averaged())).not.toBeAllClose(numbers(two), { rtol: 1e-3, atol: 1e-3 });
        const [from, to] = first === 0 ? [alone, shared] : [shared, alone];
        const state = from.state();
        to.loadState(state);
        tf.dispose(state);
        expect(numbers(two)).toEqual(numbers(one));
      }
      alone.dispose();
      shared.dispose();
    });
    tf.dispose([one.weight, one.bias, two.weight, two.bias]);
  });

  it('goes on from weights that were assigned from elsewhere', async () => {
    const [one, two] = [variables(), variables()];
    const alone = createBackendOptimiser(one, config);
    const shared = await createSharedOptimiser(two, config, halfWorker());
    for (let step = 0; step < 6; step++) {
      await run(alone, one, WHOLE_BATCH, step, step + 1);
      await run(shared, two, halfWorker().ownPart, step, step + 1);
      if (step !== 3) continue;
      for (const { bias } of [one, two]) tf.tidy(() => (bias as tf.Variable).assign(tf.tensor1d([50])));
      await Promise.all([alone.refresh(), shared.refresh()]);
    }
    expect(numbers(two)).toBeAllClose(numbers(one), { rtol: 1e-4, atol: 1e-5 });
    expect(numbers(two)[3]).toBeGreaterThan(40);
    alone.dispose();
    shared.dispose();
    tf.dispose([one.weight, one.bias, two.weight, two.bias]);
  });

  it('gives the variables themselves where no average is kept', async () => {
    const params = variables();
    const shared = await createSharedOptimiser(params, { ...config, emaDecay: 0 }, halfWorker());
    expect(shared.averaged()).toBe(params);
    shared.dispose();
    disposeParams(params);
  });

  it('names the first gradient that is not finite, and changes nothing', async () => {
    const params = variables();
    const before = numbers(params);
    const shared = await createSharedOptimiser(params, config, halfWorker());
    shared.begin(0);
    const grads = { weight: tf.zeros([3, 1]), bias: tf.tensor1d([Infinity]) };
    expect(await shared.update(grads, 0.1)).toEqual({ norm: Infinity, nonFinite: 'bias' });
    expect(numbers(params)).toEqual(before);
    tf.dispose(grads);
    shared.dispose();
    disposeParams(params);
  });
});

it('meanInPlace is the mean of all parts', () => {
  const own = Float32Array.of(1, 2);
  meanInPlace(own, [Float32Array.of(3, 4), Float32Array.of(5, 9)]);
  expect(own).toEqual(Float32Array.of(3, 5));
});

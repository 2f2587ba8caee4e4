import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import { createAdamW, createEma, createHostAdamW, createHostEma, toVariables, type ParamTree } from './index';

type Packed = { shape: number[]; data: number[] };
type Weights = { kernel: Packed; bias: Packed };
type AdamWGolden = { start: Weights; steps: (Weights & { grads: Weights; norm: number; learningRate: number })[] };

const golden = readGolden<AdamWGolden>(import.meta.url, '../fixtures/adamw.golden.json');
const options = { learningRate: 0.05, beta1: 0.8, beta2: 0.95, eps: 1e-6, weightDecay: 0.1 };
const decayFilter = (path: string): boolean => path !== 'bias';

const tree = ({ kernel, bias }: Weights): { kernel: tf.Tensor; bias: tf.Tensor } => ({
  kernel: tf.tensor(kernel.data, kernel.shape),
  bias: tf.tensor(bias.data, bias.shape),
});
const flat = ({ kernel, bias }: Weights): Float32Array => Float32Array.from([...kernel.data, ...bias.data]);

beforeAll(() => setupBackend('cpu'));

describe('HostAdamW', () => {
  it('follows PyTorch with clipping, also across a saved state and in shared memory', async () => {
    await expectNoLeak(() => {
      const params = tree(golden.start);
      const start = flat(golden.start);
      const weights = new Float32Array(new SharedArrayBuffer(start.byteLength));
      weights.set(start);
      let optimizer = createHostAdamW(params, weights, { ...options, decayFilter });
      golden.steps.forEach((step, i) => {
        const norm = optimizer.step(flat(step.grads), { learningRate: step.learningRate, maxNorm: 5 });
        expect(norm).toBeCloseTo(step.norm, 4);
        expect(weights).toBeAllClose(flat(step), { rtol: 1e-5, atol: 1e-6 });
        if (i === 4) {
          const state = optimizer.state();
          optimizer = createHostAdamW(params, weights, { ...options, decayFilter });
          optimizer.loadState(state);
          tf.dispose(state);
        }
      });
      tf.dispose(params);
    });
  });

  it('continues from a state of AdamW as AdamW itself would, and the other way round', async () => {
    await expectNoLeak(() => {
      const plain = tree(golden.start);
      const variables = toVariables(plain);
      const adam = createAdamW(variables, options);
      const host = createHostAdamW(plain, flat(golden.start), options);
      golden.steps.forEach(({ grads }, i) => {
        const tensors = tree(grads);
        adam.step(tensors);
        host.step(flat(grads));
        const [from, to] = i % 2 === 0 ? [adam, host] : [host, adam];
        const state = from.state();
        to.loadState(state);
        tf.dispose([tensors, state]);
        const expected = [...variables.kernel.dataSync(), ...variables.bias.dataSync()];
        // another order of float32 rounding
        expect(host.weights).toBeAllClose(expected, { rtol: 1e-5, atol: 1e-6 });
      });
      adam.dispose();
      tf.dispose([plain, variables]);
    });
  });

  it('changes nothing for gradients that are not finite', () => {
    const params = tree(golden.start);
    const host = createHostAdamW(params, flat(golden.start), options);
    const untouched = createHostAdamW(params, flat(golden.start), options);
    for (const bad of [NaN, Infinity, -Infinity]) {
      const grads = flat(golden.steps[0]!.grads);
      grads[2] = bad;
      expect(Number.isFinite(host.step(grads, { maxNorm: 1 }))).toBe(false);
      expect(host.weights).toEqual(flat(golden.start));
    }
    for (const { grads } of golden.steps) {
      host.step(flat(grads));
      untouched.step(flat(grads));
    }
    expect(host.weights).toEqual(untouched.weights);
    tf.dispose(params);
  });

  it('moves no weight further than its rate allows, whatever the scale of the gradients', () => {
    const params = { w: tf.zeros([4]) };
    fc.assert(
      fc.property(fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 4, maxLength: 4 }), (grads) => {
        const host = createHostAdamW(params, new Float32Array(4), { learningRate: 0.1, weightDecay: 0 });
        host.step(Float32Array.from(grads));
        // The first step of Adam is the rate times the sign.
        host.weights.forEach((w, i) => expect(Math.abs(w + 0.1 * Math.sign(grads[i]!))).toBeLessThan(Math.abs(grads[i]!) < 1e-4 ? 0.11 : 1e-4));
      }),
    );
    params.w.dispose();
  });

  it('refuses a state that does not fit, and changes nothing', async () => {
    const params = tree(golden.start);
    const host = createHostAdamW(params, flat(golden.start), options);
    host.step(flat(golden.steps[0]!.grads));
    const before = host.state();
    const misshapen = { ...before, 'v.bias': tf.zeros([2]) };
    await expectNoLeak(() => {
      expect(() => host.loadState({ 'm.kernel': params.kernel })).toThrow(
        'AdamW.loadState: the state does not fit the weights. Missing: [step, v.kernel, m.bias, v.bias]; unexpected: []. ' +
          'Was it saved with another model?',
      );
      expect(() => host.loadState(misshapen)).toThrow('AdamW.loadState: expected v.bias of shape [3], received [2].');
    });
    const after = host.state();
    for (const [name, tensor] of Object.entries(before)) expect(after[name]).toBeAllClose(tensor, { rtol: 0, atol: 0 });
    tf.dispose([params, before, after, misshapen]);
  });
});

describe('HostEma', () => {
  it.each([true, false])('is the average of Ema, and continues from its state (warm-up: %s)', async (warmup) => {
    await expectNoLeak(() => {
      const params = tree(golden.start);
      const ema = createEma<ParamTree>(params, { decay: 0.9, warmup });
      const host = createHostEma(params, flat(golden.start), { decay: 0.9, warmup });
      golden.steps.forEach((step, i) => {
        const weights = tree(step);
        ema.update(weights);
        host.update(flat(step));
        const average = ema.params as ReturnType<typeof tree>;
        expect(host.averages).toBeAllClose([...average.kernel.dataSync(), ...average.bias.dataSync()], { rtol: 1e-6, atol: 1e-7 });
        const [from, to] = i % 2 === 0 ? [ema, host] : [host, ema];
        const state = from.state();
        to.loadState(state);
        tf.dispose([weights, state]);
      });
      expect(() => host.loadState({})).toThrow(
        'Ema.loadState: the state does not fit the weights. Missing: [numUpdates, params.kernel, params.bias]; misshapen: []. ' +
          'Was it saved with another model?',
      );
      ema.dispose();
      tf.dispose(params);
    });
  });
});

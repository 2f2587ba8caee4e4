import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import {
  clipByGlobalNorm,
  cloneParams,
  createAdamW,
  createEma,
  createHostAdamW,
  createHostEma,
  createRng,
  type Gradients,
  type ParamTree,
  ShapeError,
  startKernelThreads,
  toVariables,
} from '../index';

const rng = createRng('optimiser');
type Weights = Record<string, tf.Tensor>;
const random = (sizes: readonly number[]): Weights =>
  Object.fromEntries(sizes.map((size, i) => [`w${i}`, tf.tensor1d(rng.fillNormal(new Float32Array(size)))]));
const joined = (weights: Weights): Float32Array =>
  tf.tidy(() => tf.concat1d(Object.values(weights).map((tensor) => tf.cast(tf.reshape(tensor, [-1]), 'float32') as tf.Tensor1D)).dataSync().slice()) as Float32Array;

// Around a block of 4096 numbers, and each rest of 4.
const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(4095, 4096, 4097, 8193)), { minLength: 1, maxLength: 6 });
const options = { learningRate: 0.05, beta1: 0.8, beta2: 0.95, eps: 1e-6, weightDecay: 0.1 };
const decayFilter = (path: string): boolean => path !== 'w0';

describe('AdamW on wasm', () => {
  beforeAll(() => setupBackend('wasm'));

  it('takes the steps of the optimiser over plain arrays, for tensors of any size', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async (of, clips) => {
        await expectNoLeak(() => {
          const start = random(of);
          const params = toVariables(start);
          const adam = createAdamW(params, { ...options, decayFilter });
          const host = createHostAdamW(start, joined(start), { ...options, decayFilter });
          for (const rate of [0.05, 0.02, 0.01]) {
            const grads = random(of);
            const norm = clips ? adam.clippedStep(grads, 2, { learningRate: rate }) : adam.step(grads, { learningRate: rate });
            const expected = host.step(joined(grads), { learningRate: rate, ...(clips ? { maxNorm: 2 } : {}) });
            if (norm) expect(norm).toBeAllClose(expected, { rtol: 1e-7, atol: 0 });
            expect(joined(params)).toBeAllClose(host.weights, { rtol: 1e-5, atol: 1e-6 });
            tf.dispose([grads, norm ?? []]);
          }
          const [received, wanted] = [adam.state(), host.state()];
          for (const [name, tensor] of Object.entries(wanted)) expect(received[name]).toBeAllClose(tensor, { rtol: 1e-5, atol: 1e-7 });
          adam.dispose();
          tf.dispose([start, params, received, wanted]);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('leaves alone what was taken from it: saved states, clones of the weights', () => {
    tf.tidy(() => {
      const params = toVariables(random([5]));
      const adam = createAdamW(params, options);
      adam.step(random([5]));
      const state = adam.state();
      const taken = { ...state, ...cloneParams(params), view: tf.reshape(params.w0!, [5, 1]) };
      const before = joined(taken);
      const other = createAdamW(params, options);
      other.loadState(state);
      for (const optimizer of [adam, other]) optimizer.step(random([5]));
      expect(joined(taken)).toEqual(before);
      adam.dispose();
      other.dispose();
    });
  });

  it('adds up the norm in float64', () => {
    tf.tidy(() => {
      // One after the other in float32 the small squares are lost.
      const grads: Gradients = { large: tf.tensor1d([4096]), small: tf.fill([2 ** 20], 0.5) };
      const exact = Math.sqrt(4096 ** 2 + 2 ** 20 / 4);
      const { grads: clipped, norm } = clipByGlobalNorm(grads, 1);
      expect(norm).toBeAllClose(exact, { rtol: 1e-7, atol: 0 });
      expect(clipped.large).toBeAllClose([4096 / (exact + 1e-6)], { rtol: 1e-6, atol: 0 });
      expect(tf.max(clipped.small!)).toBeAllClose(0.5 / (exact + 1e-6), { rtol: 1e-6, atol: 0 });
    });
  });

  it('shows a NaN in the norm, and gives it on to no other weight without clipping', () => {
    tf.tidy(() => {
      const params = toVariables({ a: tf.ones([5]), b: tf.ones([3]) });
      const adam = createAdamW(params, options);
      const grads = { a: tf.tensor1d([1, NaN, 1, 1, 1]), b: tf.ones([3]) };
      expect(clipByGlobalNorm(grads, 1).norm).toBeAllClose(NaN);
      adam.step(grads);
      expect([...params.a.dataSync()].map(Number.isNaN)).toEqual([false, true, false, false, false]);
      expect([...params.b.dataSync()].every(Number.isFinite)).toBe(true);
      adam.dispose();
    });
  });
});

describe('a moving average on wasm', () => {
  beforeAll(() => setupBackend('wasm'));

  it('is that over plain arrays, for tensors of any size', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async (of) => {
        await expectNoLeak(() => {
          const start = random(of);
          const ema = createEma<ParamTree>(start, { decay: 0.9, warmup: true });
          const host = createHostEma(start, joined(start), { decay: 0.9, warmup: true });
          const first = joined(start);
          for (let i = 0; i < 3; i++) {
            const now = random(of);
            ema.update(now);
            host.update(joined(now));
            expect(joined(ema.params as Weights)).toBeAllClose(host.averages, { rtol: 1e-6, atol: 1e-7 });
            tf.dispose(now);
          }
          expect(joined(start)).toEqual(first); // a single tensor too is only borrowed
          ema.dispose();
          tf.dispose(start);
        });
      }),
      { numRuns: 20 },
    );
  });

  it('keeps what was taken from it, and refuses weights that do not fit', () => {
    tf.tidy(() => {
      const start = random([7]);
      const ema = createEma<ParamTree>(start, { decay: 0.5 });
      const state = ema.state();
      const before = joined(state);
      ema.update(random([7]));
      expect(joined(state)).toEqual(before);
      const after = joined(ema.state());
      expect(() => ema.update(random([8]))).toThrow(new ShapeError('Ema.update: expected w0 of shape [7], received [8].'));
      expect(() => ema.update({})).toThrow(new ShapeError('Ema.update: expected w0 of shape [7], received none.'));
      expect(joined(ema.state())).toEqual(after);
      ema.dispose();
    });
  });
});

describe('passes over all weights on several threads', () => {
  beforeAll(() => setupBackend('wasm', { shared: true }));
  afterAll(() => startKernelThreads(1));

  it('give the bytes of one', async () => {
    const start = random([120_000, 4097, 3, 20_000]);
    const grads = random([120_000, 4097, 3, 20_000]);
    const step = (): Buffer => {
      const params = toVariables(start);
      const adam = createAdamW(params, options);
      const ema = createEma<ParamTree>(params, { decay: 0.5 });
      const { grads: clipped } = tf.tidy(() => clipByGlobalNorm(grads, 0.5));
      const norm = adam.clippedStep(grads, 1);
      ema.update(params);
      const state = adam.state();
      const result = joined({ ...params, ...(ema.params as Weights), ...state, ...clipped, norm });
      adam.dispose();
      ema.dispose();
      tf.dispose([params, clipped, norm, state]);
      return Buffer.from(result.buffer);
    };
    const alone = step();
    await startKernelThreads(3);
    for (let i = 0; i < 3; i++) expect(Buffer.compare(step(), alone)).toBe(0);
    tf.dispose([start, grads]);
  });
});

import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { checkCase } from '../contract/check-case';
import { contractCase } from '../contract/contract-case';
import { normal } from '../contract/inputs';
import * as reference from '../contract/reference';
import { createRng, geglu, gelu, type LinearParams, silu } from '../index';
import { wasmGate, wasmGateGradient } from './activations';

beforeAll(() => setupBackend('wasm'));

const grid = (from: number, to: number): Float32Array => Float32Array.from({ length: 20_001 }, (_, i) => from + ((to - from) * i) / 20_000);
const exact = (values: Float32Array): Float64Array => Float64Array.from(values);

describe('activations on wasm', () => {
  it('silu is right to a few roundings over the whole range', () => {
    tf.tidy(() => {
      for (const values of [grid(-86, 86), grid(-1, 1), grid(-1e-3, 1e-3)]) {
        const expected = reference.silu({ shape: [values.length], data: exact(values) }).data;
        expect(silu(tf.tensor1d(values))).toBeAllClose(expected, { rtol: 4e-7, atol: 0 });
      }
    });
  });

  it('gelu is right to 1e-7 of its input, also far out', () => {
    tf.tidy(() => {
      for (const values of [grid(-6, 6), grid(-50, 50), grid(-0.1, 0.1)]) {
        const expected = reference.gelu({ shape: [values.length], data: exact(values) }).data;
        const received = gelu(tf.tensor1d(values)).dataSync();
        received.forEach((value, i) => {
          // 1e-7 of Φ, and the rounding of the product
          expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(1e-7 * Math.abs(values[i]!) + 6e-8 * Math.abs(expected[i]!) + 1e-38);
        });
      }
    });
  });

  it('have slopes that finite differences in float64 confirm, for any number of values', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('silu' as const, 'gelu' as const), fc.integer({ min: 1, max: 40 }), async (name, size) => {
        const test = contractCase({
          op: name,
          name: String(size),
          inputs: { x: normal(size) },
          run: ({ x }) => (name === 'silu' ? silu(x) : gelu(x)),
          reference: ({ x }) => reference[name](x),
        });
        expect((await checkCase(test)).failures).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  it('geglu has the values and gradients of its definition for any size', async () => {
    const size = fc.integer({ min: 1, max: 11 });
    await fc.assert(
      fc.asyncProperty(size, size, size, fc.boolean(), async (N, I, F, withBias) => {
        const test = contractCase({
          op: 'geglu',
          name: `[${N}, ${I}] to ${F}`,
          inputs: withBias ? { x: normal(N, I), weight: normal(I, 2 * F), bias: normal(2 * F) } : { x: normal(N, I), weight: normal(I, 2 * F) },
          run: ({ x, weight, bias }) => geglu({ proj: { weight, bias } as LinearParams }, x),
          reference: ({ x, weight, bias }) => reference.geglu(x, weight, bias),
        });
        expect((await checkCase(test)).failures).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('end where they should, and pass on a NaN', () => {
    tf.tidy(() => {
      const x = tf.tensor1d([NaN, Infinity, 1e30, 100, 50, 0, -50, -100, -1e30]);
      const tolerance = { rtol: 1e-6, atol: 1e-30 };
      expect(silu(x)).toBeAllClose([NaN, Infinity, 1e30, 100, 50, 0, -50 * Math.exp(-50), 0, 0], tolerance);
      expect(gelu(x)).toBeAllClose([NaN, Infinity, 1e30, 100, 50, 0, 0, 0, 0], tolerance);
      const finite = tf.tensor1d([NaN, 100, 50, 0, -50, -100]);
      expect(tf.grad((a) => silu(a))(finite)).toBeAllClose([NaN, 1, 1, 0.5, 0, 0], { rtol: 1e-6, atol: 1e-19 });
      expect(tf.grad((a) => gelu(a))(finite)).toBeAllClose([NaN, 1, 1, 0.5, 0, 0], tolerance);
      const gated = wasmGate(tf.tensor2d([NaN, 2, 2, 3, NaN, -60], [1, 6])); // values NaN, 2, 2; gates 3, NaN, -60
      expect(gated).toBeAllClose([[NaN, NaN, 0]]);
    });
  });

  it('leave nothing behind', async () => {
    const rows = tf.tensor2d(createRng('leak').fillNormal(new Float32Array(60)), [6, 10]);
    const half = tf.ones<tf.Rank.R2>([6, 5]);
    await expectNoLeak(() => [silu(rows), gelu(rows), wasmGate(rows), wasmGateGradient(half, rows)]);
    tf.dispose([rows, half]);
  });
});

import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { setupBackend } from '@sgdiff/test-kit';
import { checkCase } from '../contract/check-case';
import { contractCase } from '../contract/contract-case';
import { normal, normalAround } from '../contract/inputs';
import * as reference from '../contract/reference';
import { createRng, groupNorm, groupNormSilu, layerNorm } from '../index';
import { addressOf, type WasmBackend, wasmBackend } from './backend';
import { wasmGroupNorm } from './group-norm';
import { simdKernels } from './module';
import { runRanges } from './threads';

beforeAll(() => setupBackend('wasm'));

const ops = { groupNorm, groupNormSilu };
const EPS = 1e-5;

describe('normalisation on wasm', () => {
  it('of groups has the values and gradients of its definition for any size', async () => {
    const op = fc.constantFrom('groupNorm' as const, 'groupNormSilu' as const);
    const images = fc.integer({ min: 1, max: 3 });
    const positions = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(63, 64, 65, 130)); // around a run of 64
    // Groups of 1, 2, 3, … channels, up to several bundles of 32 channels.
    const sizes = fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 7 })),
      fc.constantFrom([37, 1], [19, 2], [25, 3], [9, 5], [3, 33]),
    );
    await fc.assert(
      fc.asyncProperty(op, images, positions, sizes, async (name, B, S, [G, M]) => {
        const C = G! * M!;
        // A group of few numbers may have nearly no deviation, which multiplies errors by 1 / sqrt(eps): an eps of 0.1 here.
        const test = contractCase({
          op: name,
          name: `[${B}, ${S}, ${C}], ${G} groups`,
          inputs: { x: normalAround(3, 1, B, S, C), weight: normalAround(1, 0.3, C), bias: normal(C) },
          run: ({ x, ...params }) => ops[name](params, x, { groups: G!, eps: 0.1 }),
          reference: ({ x, weight, bias }) => reference[name](x, weight, bias, G!, 0.1),
          tolerance: { value: 1e-5, gradient: 5e-5 },
        });
        expect((await checkCase(test)).failures).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  it('of rows has the values and gradients of its definition for any size', async () => {
    const rows = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(63, 64, 65, 129)); // around a part of 64
    const width = fc.integer({ min: 1, max: 23 });
    await fc.assert(
      fc.asyncProperty(rows, width, async (N, D) => {
        const test = contractCase({
          op: 'layerNorm',
          name: `[${N}, ${D}]`,
          inputs: { x: normalAround(3, 1, N, D), weight: normalAround(1, 0.3, D), bias: normal(D) },
          run: ({ x, ...params }) => layerNorm(params, x, { eps: 0.1 }),
          reference: ({ x, weight, bias }) => reference.layerNorm(x, weight, bias, 0.1),
          tolerance: { value: 1e-5, gradient: 5e-5 },
        });
        expect((await checkCase(test)).failures).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('stays exact where the mean is ten thousand deviations', () => {
    tf.tidy(() => {
      const rng = createRng('far');
      // Multiples of 1/128 around 1e4 are exact in float32, so all that is seen is the error of the kernel.
      const values = rng.fillNormal(new Float32Array(2 * 300 * 12)).map((value) => 1e4 + Math.round(128 * value) / 128);
      const x = tf.tensor(values, [2, 300, 12]);
      const params = { weight: tf.ones<tf.Rank.R1>([12]), bias: tf.zeros<tf.Rank.R1>([12]) };
      const exact = { shape: x.shape, data: Float64Array.from(values) };
      const ones = { shape: [12], data: new Float64Array(12).fill(1) };
      const tolerance = { rtol: 0, atol: 2e-5 }; // the mean alone, rounded to float32, would be 5e-4 off
      expect(groupNorm(params, x, { groups: 4 })).toBeAllClose(reference.groupNorm(exact, ones, reference.zeros(12), 4, EPS).data, tolerance);
      expect(layerNorm(params, x)).toBeAllClose(reference.layerNorm(exact, ones, reference.zeros(12), EPS).data, tolerance);
    });
  });

  it('makes a constant its bias, with finite gradients', () => {
    tf.tidy(() => {
      const params = { weight: tf.fill<tf.Rank.R1>([6], 2), bias: tf.range(0, 6) };
      for (const constant of [0, 0.1, -1000.1, 50, -50, 1e15]) {
        const x = tf.fill<tf.Rank.R3>([2, 70, 6], constant);
        const biases = tf.mul(tf.ones([2, 70, 1]), params.bias);
        expect(groupNorm(params, x, { groups: 2 })).toBeAllClose(biases, { rtol: 0, atol: 0 });
        expect(layerNorm(params, x)).toBeAllClose(biases, { rtol: 0, atol: 0 });
        for (const f of [(a: tf.Tensor) => groupNormSilu(params, a, { groups: 2 }), (a: tf.Tensor) => layerNorm(params, a)]) {
          expect(tf.grad(f)(x).dataSync().every(Number.isFinite)).toBe(true);
        }
      }
    });
  });

  it('passes on a NaN to its group and to no other', () => {
    tf.tidy(() => {
      const values = createRng('nan').fillNormal(new Float32Array(2 * 5 * 6));
      values[(1 * 5 + 3) * 6 + 4] = NaN; // image 1, position 3, channel 4
      const x = tf.tensor3d(values, [2, 5, 6]);
      const params = { weight: tf.ones<tf.Rank.R1>([6]), bias: tf.zeros<tf.Rank.R1>([6]) };
      const group = groupNormSilu(params, x, { groups: 2 }).dataSync();
      group.forEach((value, i) => expect(Number.isNaN(value)).toBe(i >= 30 && i % 6 >= 3));
      const rows = layerNorm(params, x).dataSync();
      rows.forEach((value, i) => expect(Number.isNaN(value)).toBe(Math.floor(i / 6) === 8));
    });
  });

  it('gives the same bytes however the work is cut', () => {
    tf.tidy(() => {
      const backend = wasmBackend() as WasmBackend;
      const kernels = simdKernels()!;
      const [B, S, C, G] = [3, 70, 90, 30];
      const rng = createRng('cut');
      const normalTensor = (...shape: number[]): tf.Tensor => tf.tensor(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape);
      const [x, weight, bias] = [normalTensor(B, S, C), normalTensor(C), normalTensor(C)] as [tf.Tensor, tf.Tensor1D, tf.Tensor1D];
      const whole = wasmGroupNorm(x, weight, bias, { groups: G, eps: EPS, silu: true });
      const [y, mean, rstd] = [tf.zeros(x.shape), tf.zeros([B, G]), tf.zeros([B, G])];
      const addresses = [x, weight, bias, y, mean, rstd].map((tensor) => addressOf(backend, tensor));
      const total = kernels.groupNormItems(B, C, C / G);
      expect(total).toBeGreaterThan(B);
      for (let item = total - 1; item >= 0; item--) {
        tf.tidy(() => {
          const scratch = tf.fill([Math.ceil(kernels.groupNormScratchBytes(C, C / G) / 4)], NaN);
          kernels.groupNorm(...addresses, S, C, C / G, EPS, 1, addressOf(backend, scratch), item, item + 1);
        });
      }
      for (const [part, all] of [[y, whole.y], [mean, whole.mean], [rstd, whole.rstd]] as const) {
        expect(part.dataSync()).toEqual(all.dataSync());
      }
      // The same through the function that threads use.
      runRanges(backend, 'groupNorm', [...addresses, S, C, C / G, EPS, 1], { total, grain: 2, scratchBytes: kernels.groupNormScratchBytes(C, C / G) });
      expect(y.dataSync()).toEqual(whole.y.dataSync());
    });
  });
});

import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { createRng } from '../index';
import { wasmAttention, wasmAttentionGradient } from './attention';

beforeAll(() => setupBackend('wasm'));

type Sizes = { B: number; heads: number; N: number; M: number; d: number; masked: boolean };

// Every rest of the kernels' steps; more queries than a block, or a stretch, holds.
const sizes: fc.Arbitrary<Sizes> = fc.record({
  B: fc.integer({ min: 1, max: 2 }),
  heads: fc.integer({ min: 1, max: 3 }),
  N: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(65, 300)),
  M: fc.oneof(fc.integer({ min: 1, max: 19 }), fc.constantFrom(260)),
  d: fc.integer({ min: 1, max: 11 }),
  masked: fc.boolean(),
});

describe('attention on wasm', () => {
  it('is the definition, with its gradients, for any size and mask', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), (size, seed) => {
        const { B, heads, N, M, d, masked } = size;
        const rng = createRng('attention', seed);
        const normal = (rows: number): Float32Array => rng.fillNormal(new Float32Array(B * rows * heads * d));
        const [q, k, v, dy] = [normal(N), normal(M), normal(M), normal(N)] as const;
        const mask = masked ? Float32Array.from({ length: B * M }, () => rng.int(2)) : undefined;
        const expected = definition(size, q, k, v, dy, mask);
        tf.tidy(() => {
          const tensor = (values: Float32Array, rows: number): tf.Tensor3D => tf.tensor3d(values, [B, rows, heads * d]);
          const [tq, tk, tv] = [tensor(q, N), tensor(k, M), tensor(v, M)];
          const tMask = mask && tf.tensor2d(mask, [B, M]);
          const { y, lse } = wasmAttention(tq, tk, tv, tMask, heads);
          const grads = wasmAttentionGradient(tensor(dy, N), tq, tk, tv, tMask, y, lse, heads);
          const tolerance = { rtol: 1e-4, atol: 2e-5 }; // float32 sums of up to 300 products
          expect(y).toBeAllClose(expected.y, tolerance);
          expect(lse).toBeAllClose(expected.lse, tolerance);
          for (const [i, name] of (['dq', 'dk', 'dv'] as const).entries()) {
            expect(grads[i]).toBeAllClose(expected[name], tolerance);
          }
        });
      }),
      { numRuns: 40 },
    );
  });

  it('leaves nothing behind', async () => {
    const x = tf.ones<tf.Rank.R3>([1, 5, 8]);
    await expectNoLeak(() => wasmAttention(x, x, x, undefined, 2));
    const { y, lse } = wasmAttention(x, x, x, undefined, 2);
    await expectNoLeak(() => wasmAttentionGradient(x, x, x, x, undefined, y, lse, 2));
    tf.dispose([x, y, lse]);
  });
});

/** softmax(q kᵀ / sqrt(d)) v and its gradients, number by number in float64. */
function definition(
  { B, heads, N, M, d }: Sizes,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  dy: Float32Array,
  mask: Float32Array | undefined,
): Record<'y' | 'lse' | 'dq' | 'dk' | 'dv', Float64Array> {
  const [y, dq, dk, dv] = [N, N, M, M].map((rows) => new Float64Array(B * rows * heads * d)) as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const lse = new Float64Array(B * heads * N).fill(Infinity);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      const at = (rows: number, row: number, i: number): number => ((b * rows + row) * heads + h) * d + i;
      for (let n = 0; n < N; n++) {
        const open = Array.from({ length: M }, (_, m) => m).filter((m) => !mask || mask[b * M + m] !== 0);
        if (open.length === 0) continue;
        const dot = (m: number, a: Float32Array, c: Float32Array): number => {
          let sum = 0;
          for (let i = 0; i < d; i++) sum += a[at(N, n, i)]! * c[at(M, m, i)]!;
          return sum;
        };
        const scores = open.map((m) => dot(m, q, k) / Math.sqrt(d));
        const top = Math.max(...scores);
        const sum = scores.reduce((total, s) => total + Math.exp(s - top), 0);
        lse[(b * heads + h) * N + n] = top + Math.log(sum);
        const weights = scores.map((s) => Math.exp(s - top) / sum);
        const slopes = open.map((m) => dot(m, dy, v));
        const mean = slopes.reduce((total, slope, j) => total + slope * weights[j]!, 0);
        open.forEach((m, j) => {
          const dScore = (weights[j]! * (slopes[j]! - mean)) / Math.sqrt(d);
          for (let i = 0; i < d; i++) {
            y[at(N, n, i)]! += weights[j]! * v[at(M, m, i)]!;
            dq[at(N, n, i)]! += dScore * k[at(M, m, i)]!;
            dk[at(M, m, i)]! += dScore * q[at(N, n, i)]!;
            dv[at(M, m, i)]! += weights[j]! * dy[at(N, n, i)]!;
          }
        });
      }
    }
  }
  return { y, lse, dq, dk, dv };
}

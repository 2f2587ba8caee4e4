import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import { conv2d, createRng, initConv2d, ShapeError } from './index';
import { ownConv2d } from './conv2d';
import { hasWasmConv3x3 } from './wasm/conv3x3';

const side = fc.integer({ min: 1, max: 7 });
const channels = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constantFrom(4, 8, 12));
const shapes = fc
  .record({
    B: fc.integer({ min: 1, max: 3 }),
    H: side,
    W: side,
    C: channels,
    K: channels,
    kernel: fc.oneof(fc.constant(3), fc.integer({ min: 1, max: 4 })),
    stride: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 3 })),
    sides: fc.record({ top: fc.nat(4), bottom: fc.nat(4), left: fc.nat(4), right: fc.nat(4) }),
  })
  .filter(
    ({ H, W, kernel, sides }) => H + sides.top + sides.bottom >= kernel && W + sides.left + sides.right >= kernel,
  );

describe.each(['cpu', 'wasm'] as const)('conv2d on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('has the gradients of the plain convolution for any size, kernel, stride and padding', () => {
    const rng = createRng('conv', backend);
    fc.assert(
      fc.property(shapes, ({ B, H, W, C, K, kernel, stride, sides }) => {
        const normal = (...shape: [number, number, number, number]): tf.Tensor4D =>
          tf.tensor(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b))), shape);
        tf.tidy(() => {
          const x = normal(B, H, W, C);
          const weight = normal(kernel, kernel, C, K);
          const ours = ownConv2d(x, weight, undefined, stride, sides);
          const dy = normal(...ours.shape);
          const gradients = tf.grads((a, b) =>
            ownConv2d(a as tf.Tensor4D, b as tf.Tensor4D, undefined, stride, sides),
          );
          const [dx, dw] = gradients([x, weight], dy);
          const { value, grads } = patchProducts(x, weight, dy, stride, sides);
          expect(ours).toBeAllClose(value, { rtol: 1e-4, atol: 1e-4 }); // sums of up to 400 products
          expect(dx).toBeAllClose(grads[0], { rtol: 1e-4, atol: 1e-4 });
          expect(dw).toBeAllClose(grads[1], { rtol: 1e-4, atol: 1e-4 });
        });
      }),
      { numRuns: 60 },
    );
  });

  it('gives every weight a gradient that finite differences confirm', async () => {
    const rng = createRng('check');
    const { weight, bias } = initConv2d(3, 2, 3, rng);
    const x = tf.tensor4d(rng.fillNormal(new Float32Array(2 * 4 * 4 * 2)), [2, 4, 4, 2]);
    const f = (a?: tf.Tensor, w?: tf.Tensor, b?: tf.Tensor): tf.Tensor =>
      conv2d({ weight: w as tf.Tensor4D, bias: b as tf.Tensor1D }, a as tf.Tensor4D, { stride: 2 });
    await checkGradients(f, [x, weight, bias!]);
    tf.dispose([weight, bias!, x]);
  });

  it('leaves nothing behind, and adds the bias, on the way with kernels of our own', async () => {
    const rng = createRng('own');
    const params = initConv2d(3, 8, 12, rng);
    const x = tf.tensor4d(rng.fillNormal(new Float32Array(2 * 5 * 6 * 8)), [2, 5, 6, 8]);
    await expectNoLeak(() => conv2d(params, x));
    tf.tidy(() => {
      const shift = tf.sub(conv2d(params, x), conv2d({ weight: params.weight }, x));
      expect(shift).toBeAllClose(tf.broadcastTo(params.bias!, [2, 5, 6, 12]), { rtol: 0, atol: 1e-5 });
    });
    await checkGradients(
      (a?: tf.Tensor, w?: tf.Tensor, b?: tf.Tensor) => conv2d({ weight: w as tf.Tensor4D, bias: b as tf.Tensor1D }, a as tf.Tensor4D),
      [x, params.weight, params.bias!],
    );
    tf.dispose([params.weight, params.bias!, x]);
  });

  it('says which channels it expected', () => {
    tf.tidy(() => {
      const params = initConv2d(3, 2, 3, createRng());
      expect(() => conv2d(params, tf.ones([1, 4, 4, 5]))).toThrow(
        new ShapeError('conv2d: expected x of shape [B, H, W, 2], received [1, 4, 4, 5].'),
      );
    });
  });
});

/** The plain definition with its gradients, number by number in float64. */
function patchProducts(
  x: tf.Tensor4D,
  weight: tf.Tensor4D,
  dy: tf.Tensor4D,
  stride: number,
  sides: { top: number; left: number },
): { value: tf.Tensor; grads: [tf.Tensor, tf.Tensor] } {
  const [, H, W, C] = x.shape;
  const [kh, kw, , K] = weight.shape;
  const [B, h, w] = dy.shape;
  const [xs, ws, dys] = [x.dataSync(), weight.dataSync(), dy.dataSync()];
  const [ys, dxs, dws] = [new Float64Array(dy.size), new Float64Array(x.size), new Float64Array(weight.size)];
  for (let b = 0; b < B; b++)
    for (let i = 0; i < h; i++)
      for (let j = 0; j < w; j++)
        for (let di = 0; di < kh; di++)
          for (let dj = 0; dj < kw; dj++) {
            const [row, column] = [i * stride + di - sides.top, j * stride + dj - sides.left];
            if (row < 0 || row >= H || column < 0 || column >= W) continue;
            for (let c = 0; c < C; c++)
              for (let k = 0; k < K; k++) {
                const at = [
                  ((b * H + row) * W + column) * C + c,
                  ((di * kw + dj) * C + c) * K + k,
                  ((b * h + i) * w + j) * K + k,
                ];
                ys[at[2]!]! += xs[at[0]!]! * ws[at[1]!]!;
                dxs[at[0]!]! += dys[at[2]!]! * ws[at[1]!]!;
                dws[at[1]!]! += dys[at[2]!]! * xs[at[0]!]!;
              }
          }
  const made = (values: Float64Array, shape: number[]): tf.Tensor => tf.tensor(Float32Array.from(values), shape);
  return { value: made(ys, dy.shape), grads: [made(dxs, x.shape), made(dws, weight.shape)] };
}

describe('wasm kernels', () => {
  it('are used for 3 x 3 kernels with stride 1 and channels in fours, on wasm alone', async () => {
    await setupBackend('wasm');
    expect([hasWasmConv3x3([3, 3, 4, 8], 1), hasWasmConv3x3([3, 3, 4, 8], 2), hasWasmConv3x3([3, 3, 3, 8], 1)]).toEqual([true, false, false]);
    expect([hasWasmConv3x3([1, 3, 4, 8], 1), hasWasmConv3x3([3, 3, 4, 6], 1)]).toEqual([false, false]);
    await setupBackend('cpu');
    expect(hasWasmConv3x3([3, 3, 4, 8], 1)).toBe(false);
  });
});

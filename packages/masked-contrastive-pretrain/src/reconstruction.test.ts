import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { countParams, createRng, disposeParams, flattenParams, restoreParams } from '@sgdiff/nn';
import { expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import { initReconstruction, initTransformerBlock, reconstruct, transformerBlock } from './index';

type Packed = { readonly shape: number[]; readonly data: number[] };
type BlockGolden = {
  sizes: { width: number; contextWidth: number; innerWidth: number; hiddenWidth: number };
  heads: number;
  weights: Record<string, Packed>;
} & Record<'x' | 'context' | 'mask' | 'y' | 'probe' | 'gradX' | 'gradContext', Packed>;

describe.each(['cpu', 'wasm'] as const)('transformerBlock on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('agrees with PyTorch in values and gradients, with a masked context', () => {
    const golden = readGolden<BlockGolden>(import.meta.url, '../fixtures/transformer-block.golden.json');
    tf.tidy(() => {
      const tensor = ({ data, shape }: Packed): tf.Tensor => tf.tensor(data, shape);
      const block = restoreParams(
        initTransformerBlock(golden.sizes, createRng(0)),
        Object.fromEntries(Object.entries(golden.weights).map(([path, value]) => [path, tensor(value)])),
      );
      const mask = tensor(golden.mask) as tf.Tensor2D;
      const run = (x: tf.Tensor, context: tf.Tensor): tf.Tensor =>
        transformerBlock(block, x as tf.Tensor3D, context as tf.Tensor3D, { heads: golden.heads, mask });
      const [x, context] = [tensor(golden.x), tensor(golden.context)];
      const tolerance = { rtol: 1e-4, atol: 1e-4 }; // float32 against float64 through softmax, norms and GELU
      expect(run(x, context)).toBeAllClose(tensor(golden.y), tolerance);
      const grads = tf.grads((a, b) => tf.sum(tf.mul(run(a, b), tensor(golden.probe))))([x, context]);
      expect(grads[0]!).toBeAllClose(tensor(golden.gradX), tolerance);
      expect(grads[1]!).toBeAllClose(tensor(golden.gradContext), tolerance);
    });
  });
});

describe('initTransformerBlock', () => {
  beforeAll(() => setupBackend('cpu'));

  it('has the published number of weights in the published sizes', () => {
    // The formula is checked on a small block, then used at full size, which would take 44 MB.
    const count = (w: number, c: number, i: number, h: number): number =>
      3 * 2 * w + (3 * w * i + i * w + w) + (w * i + 2 * c * i + i * w + w) + (2 * w * h + 2 * h + h * w + w);
    const block = initTransformerBlock({ width: 6, contextWidth: 9, innerWidth: 8, hiddenWidth: 10 }, createRng(1));
    expect(countParams(block)).toBe(count(6, 9, 8, 10));
    expect(count(768, 1536, 512, 3072)).toBe(11_023_104);
    disposeParams(block);
  });
});

describe('reconstruct', () => {
  beforeAll(() => setupBackend('cpu'));
  const config = { heads: 2 };
  const sizes = { tokens: 4, tokenWidth: 4, contextWidth: 6, targetWidth: 5 };

  it('does not see padded graph tokens', () => {
    tf.tidy(() => {
      const params = initReconstruction(config, sizes, createRng(1));
      const x = tf.reshape(tf.range(0, 16), [1, 4, 4]) as tf.Tensor3D;
      const hidden = tf.tensor2d([[0, 1, 1, 0]]);
      const mask = tf.tensor2d([[1, 0]]);
      const guess = (padding: number): tf.Tensor =>
        reconstruct(
          params,
          config,
          x,
          hidden,
          tf.tensor3d([[[1, 2, 3, 4, 5, 6], Array<number>(6).fill(padding)]]),
          mask,
        );
      expect(guess(9)).toBeAllClose(guess(0), { rtol: 0, atol: 0 });
    });
  });

  it('knows which tokens are hidden and where they are', async () => {
    const params = initReconstruction(config, sizes, createRng(1));
    const x = tf.ones<tf.Rank.R3>([1, 4, 4]);
    const context = tf.ones<tf.Rank.R3>([1, 1, 6]);
    const mask = tf.ones<tf.Rank.R2>([1, 1]);
    const y = tf.tidy(() => reconstruct(params, config, x, tf.tensor2d([[1, 0, 0, 0]]), context, mask));
    const [first, second, third] = ((await y.array()) as number[][][])[0]!;
    const apart = (a: number[], b: number[]): number => Math.hypot(...a.map((value, i) => value - b[i]!));
    expect(apart(first!, second!)).toBeGreaterThan(1e-4);
    expect(apart(second!, third!)).toBeGreaterThan(1e-4);
    tf.dispose([x, context, mask, y, ...flattenParams(params).map(({ tensor }) => tensor)]);
  });

  it('leaves no tensor behind', async () => {
    const params = initReconstruction(config, sizes, createRng(1));
    const inputs = [tf.ones([1, 4, 4]), tf.ones([1, 4]), tf.ones([1, 2, 6]), tf.ones([1, 2])];
    const [x, hidden, context, mask] = inputs as [tf.Tensor3D, tf.Tensor2D, tf.Tensor3D, tf.Tensor2D];
    await expectNoLeak(() => reconstruct(params, config, x, hidden, context, mask));
    tf.dispose(inputs);
    disposeParams(params);
  });
});

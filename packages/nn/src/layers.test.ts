import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkGradients, expectNoLeak, readGolden, setupBackend } from '@sgdiff/test-kit';
import {
  attention,
  conv2d,
  embedding,
  geglu,
  gelu,
  groupNorm,
  groupNormSilu,
  layerNorm,
  linear,
  scaledDotProductAttention,
  silu,
} from './index';

type Packed = { readonly shape: number[]; readonly data: number[] };
type Case = {
  readonly inputs: Record<string, Packed>;
  readonly value: Packed;
  readonly projection: Packed;
  readonly gradients: Record<string, Packed>;
};
type Inputs = Record<string, tf.Tensor>;

const { cases } = readGolden<{ cases: Record<string, Case> }>(import.meta.url, '../fixtures/layers.golden.json');

/** Each golden case as a call of ours; the inputs have the golden's names. */
const layers: Record<string, (inputs: Inputs) => tf.Tensor> = {
  linear: ({ x, weight, bias }) => linear({ weight: weight as tf.Tensor2D, bias: bias as tf.Tensor1D }, x!),
  conv2d: (inputs) => convolution(inputs, {}),
  conv2dStride2: (inputs) => convolution(inputs, { stride: 2, padding: { top: 1, bottom: 1, left: 1, right: 1 } }),
  conv2dStride2RightBottom: (inputs) =>
    convolution(inputs, { stride: 2, padding: { top: 0, bottom: 1, left: 0, right: 1 } }),
  conv2dValid: (inputs) => convolution(inputs, { padding: 'valid' }),
  conv2dOneByOne: (inputs) => convolution(inputs, {}),
  groupNorm: ({ x, weight, bias }) =>
    groupNorm({ weight: weight as tf.Tensor1D, bias: bias as tf.Tensor1D }, x!, { groups: 3, eps: 1e-5 }),
  groupNormSilu: ({ x, weight, bias }) =>
    groupNormSilu({ weight: weight as tf.Tensor1D, bias: bias as tf.Tensor1D }, x!, { groups: 3, eps: 1e-6 }),
  layerNorm: ({ x, weight, bias }) => layerNorm({ weight: weight as tf.Tensor1D, bias: bias as tf.Tensor1D }, x!),
  silu: ({ x }) => silu(x!),
  gelu: ({ x }) => gelu(x!),
  geglu: ({ x, weight, bias }) => geglu({ proj: { weight: weight as tf.Tensor2D, bias: bias as tf.Tensor1D } }, x!),
  scaledDotProductAttention: ({ q, k, v }) =>
    scaledDotProductAttention(q as tf.Tensor3D, k as tf.Tensor3D, v as tf.Tensor3D, { heads: 2 }),
  scaledDotProductAttentionMasked: ({ q, k, v, mask }) =>
    scaledDotProductAttention(q as tf.Tensor3D, k as tf.Tensor3D, v as tf.Tensor3D, {
      heads: 2,
      mask: mask as tf.Tensor2D,
    }),
  attention: ({ x, context, q, k, v, out, outBias }) =>
    attention(
      {
        q: { weight: q as tf.Tensor2D },
        k: { weight: k as tf.Tensor2D },
        v: { weight: v as tf.Tensor2D },
        out: { weight: out as tf.Tensor2D, bias: outBias as tf.Tensor1D },
      },
      x as tf.Tensor3D,
      context as tf.Tensor3D,
      { heads: 3 },
    ),
};

function convolution({ x, weight, bias }: Inputs, options: Parameters<typeof conv2d>[2]): tf.Tensor {
  const params = { weight: weight as tf.Tensor4D, ...(bias ? { bias: bias as tf.Tensor1D } : {}) };
  return conv2d(params, x as tf.Tensor4D, options);
}

function unpack(packed: Packed): tf.Tensor {
  return tf.tensor(packed.data, packed.shape);
}

function unpackAll(inputs: Record<string, Packed>): Inputs {
  return Object.fromEntries(Object.entries(inputs).map(([name, packed]) => [name, unpack(packed)]));
}

describe.each(['cpu', 'wasm'] as const)('layers on %s', (backend) => {
  beforeAll(() => setupBackend(backend));

  it('tests every golden case', () => {
    expect(Object.keys(layers).sort()).toEqual(Object.keys(cases).sort());
  });

  describe.each(Object.keys(cases))('%s', (name) => {
    const golden = cases[name]!;
    const layer = layers[name]!;
    const differentiable = Object.keys(golden.gradients);

    it('has the value and the gradients of PyTorch', () => {
      tf.tidy(() => {
        const inputs = unpackAll(golden.inputs);
        const xs = differentiable.map((input) => inputs[input]!);
        const projection = unpack(golden.projection);
        const { value, grads } = tf.engine().gradients(() => tf.sum(tf.mul(layer(inputs), projection)), xs);
        expect(value.rank).toBe(0);
        // Sums of some tens of float32 products of numbers around 1, against float64.
        const tolerance = { rtol: 2e-5, atol: 2e-5 };
        expect(layer(inputs)).toBeAllClose(unpack(golden.value), tolerance);
        differentiable.forEach((input, i) =>
          expect(grads[i]).toBeAllClose(unpack(golden.gradients[input]!), tolerance),
        );
      });
    });

    it('leaves no tensor behind, also with gradients', async () => {
      const inputs = unpackAll(golden.inputs);
      const xs = differentiable.map((input) => inputs[input]!);
      await expectNoLeak(() => layer(inputs));
      await expectNoLeak(() => tf.engine().gradients(() => tf.tidy(() => tf.sum(layer(inputs))), xs));
      tf.dispose(inputs);
    });
  });

  it('has gradients that finite differences confirm where the mask leaves nothing', async () => {
    const [q, k, v] = tf.tidy(() => [0, 1, 2].map((i) => unpack(cases.scaledDotProductAttention!.inputs['qkv'[i]!]!)));
    const mask = tf.tensor2d([
      [1, 0, 0, 1],
      [0, 0, 0, 0],
    ]);
    const masked = (...xs: tf.Tensor[]): tf.Tensor =>
      scaledDotProductAttention(xs[0] as tf.Tensor3D, xs[1] as tf.Tensor3D, xs[2] as tf.Tensor3D, { heads: 3, mask });
    await checkGradients(masked, [q!, k!, v!]);
    const y = masked(q!, k!, v!);
    expect((await y.data()).slice(y.size / 2)).toBeAllClose(new Float32Array(y.size / 2), { rtol: 0, atol: 0 });
    tf.dispose([q, k, v, mask, y]);
  });

  it('adds up the gradients of an embedding by row, also of a row that occurs twice', async () => {
    const weight = tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]);
    const ids = tf.tensor2d([2, 0, 2, 1], [2, 2], 'int32');
    const look = (w: tf.Tensor): tf.Tensor => embedding({ weight: w as tf.Tensor2D }, ids);
    await expectNoLeak(() => {
      const y = look(weight);
      expect(y).toBeAllClose([[[5, 6], [1, 2]], [[5, 6], [3, 4]]]); // prettier-ignore
      return y;
    });
    await checkGradients((w) => look(w!), [weight]);
    const [grad] = tf.tidy(() => tf.grads((w) => tf.sum(look(w!)))([weight]));
    expect(grad).toBeAllClose([[1, 1], [1, 1], [2, 2], [0, 0]]); // prettier-ignore
    tf.dispose([weight, ids, grad!]);
  });
});

import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { checkGradients, expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as nn from './index';

const rng = nn.createRng('smoke');
const normal = (...shape: number[]): tf.Tensor => tf.tensor(rng.fillNormal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);

describe.each(['cpu', 'wasm'] as const)('layers on %s', (backend) => {
  beforeAll(() => setupBackend(backend));
  const cases: Record<string, [(...xs: tf.Tensor[]) => tf.Tensor, number[][]]> = {
    linear: [(x, w, b) => nn.linear({ weight: w as tf.Tensor2D, bias: b as tf.Tensor1D }, x!), [[2, 3, 4], [4, 5], [5]]],
    conv3: [(x, w, b) => nn.conv2d({ weight: w as tf.Tensor4D, bias: b as tf.Tensor1D }, x as tf.Tensor4D), [[2, 5, 4, 3], [3, 3, 3, 2], [2]]],
    conv3s2: [(x, w) => nn.conv2d({ weight: w as tf.Tensor4D }, x as tf.Tensor4D, { stride: 2 }), [[2, 6, 4, 3], [3, 3, 3, 2]]],
    conv3s2odd: [(x, w) => nn.conv2d({ weight: w as tf.Tensor4D }, x as tf.Tensor4D, { stride: 2, padding: { top: 1, bottom: 1, left: 1, right: 1 } }), [[2, 6, 5, 3], [3, 3, 3, 2]]],
    conv3s2valid: [(x, w) => nn.conv2d({ weight: w as tf.Tensor4D }, x as tf.Tensor4D, { stride: 2, padding: 'valid' }), [[2, 6, 5, 3], [3, 3, 3, 2]]],
    conv1: [(x, w) => nn.conv2d({ weight: w as tf.Tensor4D }, x as tf.Tensor4D), [[2, 3, 2, 3], [1, 1, 3, 2]]],
    gn: [(x, w, b) => nn.groupNorm({ weight: w as tf.Tensor1D, bias: b as tf.Tensor1D }, x!, { groups: 2 }), [[2, 3, 3, 6], [6], [6]]],
    gns: [(x, w, b) => nn.groupNormSilu({ weight: w as tf.Tensor1D, bias: b as tf.Tensor1D }, x!, { groups: 2 }), [[2, 3, 3, 6], [6], [6]]],
    ln: [(x, w, b) => nn.layerNorm({ weight: w as tf.Tensor1D, bias: b as tf.Tensor1D }, x!), [[2, 3, 6], [6], [6]]],
    silu: [(x) => nn.silu(x!), [[7]]],
    gelu: [(x) => nn.gelu(x!), [[7]]],
    geglu: [(x, w) => nn.geglu({ proj: { weight: w as tf.Tensor2D } }, x!), [[2, 3], [3, 8]]],
    emb: [(w) => nn.embedding({ weight: w as tf.Tensor2D }, tf.tensor2d([[0, 2], [2, 1]], [2, 2], 'int32')), [[4, 3]]],
    up: [(x) => nn.upsampleNearest2x(x as tf.Tensor4D), [[1, 2, 3, 2]]],
    s2d: [(x) => nn.spaceToDepth(x as tf.Tensor4D, 2), [[1, 2, 4, 2]]],
    d2s: [(x) => nn.depthToSpace(x as tf.Tensor4D, 2), [[1, 2, 3, 8]]],
    att: [(q, k, v) => nn.scaledDotProductAttention(q as tf.Tensor3D, k as tf.Tensor3D, v as tf.Tensor3D, { heads: 2 }), [[2, 3, 4], [2, 5, 4], [2, 5, 4]]],
    attm: [(q, k, v) => nn.scaledDotProductAttention(q as tf.Tensor3D, k as tf.Tensor3D, v as tf.Tensor3D, { heads: 2, mask: tf.tensor2d([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]]) }), [[2, 3, 4], [2, 5, 4], [2, 5, 4]]],
  };
  it.each(Object.keys(cases))('%s', async (name) => {
    const [f, shapes] = cases[name]!;
    const xs = shapes.map((s) => normal(...s));
    const g = (...inputs: tf.Tensor[]): tf.Tensor => tf.tidy(() => f(...inputs));
    await expectNoLeak(() => g(...xs));
    await checkGradients(f === cases.emb![0] || f === cases.attm![0] ? g : f, xs);
    expect(f(...xs).shape.length).toBeGreaterThan(0);
  });
});

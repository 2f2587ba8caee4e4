import * as tf from '@tensorflow/tfjs-core';
import { attention } from '../../attention';
import { conv2d } from '../../conv2d';
import { valueAndGrads } from '../../gradients';
import { groupNormSilu } from '../../group-norm';
import { contractCase, type ContractCase } from '../contract-case';
import { normal, normalAround } from '../inputs';
import * as reference from '../reference';
import type { Numbers } from '../reference';

/** Convolution, norm, self-attention over the pixels and a linear layer, to the mean square of what comes out. */
export const modelCases: readonly ContractCase[] = [
  contractCase({
    op: 'valueAndGrads',
    name: 'convolution, norm, attention, linear',
    inputs: {
      x: normal(2, 3, 3, 2),
      'conv.weight': normal(3, 3, 2, 4),
      'conv.bias': normal(4),
      'norm.weight': normalAround(1, 0.3, 4),
      'norm.bias': normal(4),
      'q.weight': normal(4, 4),
      'k.weight': normal(4, 4),
      'v.weight': normal(4, 4),
      'out.weight': normal(4, 3),
      'out.bias': normal(3),
    },
    gradient: false,
    run({ x, ...weights }) {
      const params = {
        conv: { weight: weights['conv.weight'], bias: weights['conv.bias'] },
        norm: { weight: weights['norm.weight'], bias: weights['norm.bias'] },
        q: { weight: weights['q.weight'] },
        k: { weight: weights['k.weight'] },
        v: { weight: weights['v.weight'] },
        out: { weight: weights['out.weight'], bias: weights['out.bias'] },
      };
      const { value, grads } = valueAndGrads(() => {
        const features = groupNormSilu(params.norm, conv2d(params.conv, x), { groups: 2 }); // [2, 3, 3, 4]
        const tokens = tf.reshape(features, [2, 9, 4]) as tf.Tensor3D;
        return tf.mean(tf.square(attention(params, tokens, tokens, { heads: 2 })));
      }, params);
      return { loss: value, ...grads };
    },
    reference(inputs) {
      const loss = ({ x, ...w }: Readonly<Record<string, Numbers>>): number => {
        const image = reference.conv2d(x, w['conv.weight'], w['conv.bias']);
        const { data } = reference.groupNormSilu(image, w['norm.weight'], w['norm.bias'], 2, 1e-5);
        const tokens = { shape: [2, 9, 4], data };
        const [q, k, v] = ['q', 'k', 'v'].map((name) => reference.linear(tokens, w[`${name}.weight`]));
        const y = reference.linear(reference.scaledDotProductAttention(q, k, v, 2), w['out.weight'], w['out.bias']);
        return y.data.reduce((sum, value) => sum + value * value, 0) / y.data.length;
      };
      const { x: _, ...weights } = inputs;
      const result: Record<string, Numbers> = { loss: { shape: [], data: Float64Array.of(loss(inputs)) } };
      for (const [name, { shape, data }] of Object.entries(weights)) {
        const slopes = data.map((__, i) =>
          reference.centralDifference(
            (moved) => loss({ ...inputs, [name]: { shape, data: moved } }),
            data,
            Float64Array.of(1),
            i,
          ),
        );
        result[name] = { shape, data: slopes };
      }
      return result;
    },
    tolerance: { value: 1e-4 }, // four layers and their gradients
    misshapen: [{ 'norm.weight': [5] }, { x: [2, 3, 3, 3] }],
  }),
];

import { attention, attentionWeights, scaledDotProductAttention } from '../../attention';
import { contractCase, type ContractCase } from '../contract-case';
import { fixed, normal } from '../inputs';
import * as reference from '../reference';

type Sizes = { readonly B: number; readonly N: number; readonly M: number; readonly D: number; readonly heads: number };

// Small cases have heads of 3 or 8: GPU programs are made for a width, and making one takes longer than running it.
export const attentionCases: readonly ContractCase[] = [
  heads('odd numbers of tokens', { B: 2, N: 3, M: 5, D: 6, heads: 2 }),
  heads('heads of 8', { B: 1, N: 4, M: 4, D: 16, heads: 2 }),
  heads('one token each', { B: 2, N: 1, M: 1, D: 3, heads: 1 }),
  masked('a mask', { B: 2, N: 3, M: 5, D: 6, heads: 2 }, [1, 1, 0, 1, 0, 0, 1, 1, 1, 1]),
  masked('a mask that leaves nothing of one image', { B: 2, N: 3, M: 4, D: 9, heads: 3 }, [0, 0, 0, 0, 1, 0, 1, 0]),
  masked(
    'a mask of factors',
    { B: 2, N: 5, M: 6, D: 16, heads: 2 },
    [0.5, 1, 0, 3, 1, 0.001, 2, 2, 2, 2, 2, 2], // the last image: as without a mask
  ),
  contractCase({
    op: 'scaledDotProductAttention',
    name: 'self: queries, keys and values are one tensor',
    inputs: { x: normal(2, 5, 8) },
    run: ({ x }) => scaledDotProductAttention(x, x, x, { heads: 1 }),
    reference: ({ x }) => reference.scaledDotProductAttention(x, x, x, 1),
  }),
  { ...heads('70 queries, 133 tokens', { B: 1, N: 70, M: 133, D: 8, heads: 2 }), large: true },
  { ...heads('290 queries, 261 tokens, a head of 4', { B: 1, N: 290, M: 261, D: 4, heads: 1 }), large: true },
  {
    ...masked(
      '45 tokens of all weights from 1e-6 to 1e6',
      { B: 1, N: 70, M: 45, D: 8, heads: 2 },
      Array.from({ length: 45 }, (_, m) => 10 ** ((m - 22) / 3.6)),
    ),
    large: true,
  },
  {
    ...masked(
      '131 tokens, every third masked, then all but one',
      { B: 2, N: 67, M: 131, D: 8, heads: 1 },
      Array.from({ length: 2 * 131 }, (_, i) => Number(i < 131 ? i % 3 !== 0 : i === 250)),
    ),
    large: true,
  },
  contractCase({
    op: 'attention',
    name: 'cross, odd widths, masked',
    inputs: {
      x: normal(2, 3, 5),
      context: normal(2, 4, 7),
      mask: fixed([1, 0, 1, 1, 1, 1, 0, 0], 2, 4),
      ...weights(5, 7, 6, 3),
    },
    run: ({ x, context, mask, q, k, v, out, shift }) =>
      attention(
        { q: { weight: q }, k: { weight: k }, v: { weight: v }, out: { weight: out, bias: shift } },
        x,
        context,
        { heads: 2, mask },
      ),
    reference: ({ x, context, mask, q, k, v, out, shift }) => {
      const [queries, keys, values] = [
        reference.linear(x, q),
        reference.linear(context, k),
        reference.linear(context, v),
      ];
      return reference.linear(reference.scaledDotProductAttention(queries, keys, values, 2, mask), out, shift);
    },
    misshapen: [{ x: [2, 3, 4] }, { context: [2, 4, 5] }, { mask: [2, 3] }],
  }),
  contractCase({
    op: 'attention',
    name: 'self',
    inputs: { x: normal(2, 6, 8), ...weights(8, 8, 8, 8) },
    run: ({ x, q, k, v, out, shift }) =>
      attention({ q: { weight: q }, k: { weight: k }, v: { weight: v }, out: { weight: out, bias: shift } }, x, x, {
        heads: 1,
      }),
    reference: ({ x, q, k, v, out, shift }) => {
      const [queries, keys, values] = [reference.linear(x, q), reference.linear(x, k), reference.linear(x, v)];
      return reference.linear(reference.scaledDotProductAttention(queries, keys, values, 1), out, shift);
    },
  }),
  contractCase({
    op: 'attentionWeights',
    name: 'odd widths, a mask of factors that leaves nothing of one image',
    inputs: {
      x: normal(2, 3, 5),
      context: normal(2, 4, 7),
      mask: fixed([1, 0, 0.25, 3, 0, 0, 0, 0], 2, 4),
      q: normal(5, 6),
      k: normal(7, 6),
    },
    run: ({ x, context, mask, q, k }) =>
      attentionWeights({ q: { weight: q }, k: { weight: k } }, x, context, { heads: 2, mask }),
    reference: ({ x, context, mask, q, k }) =>
      reference.attentionWeights(reference.linear(x, q), reference.linear(context, k), 2, mask),
    misshapen: [{ x: [2, 3, 4] }, { context: [2, 4, 5] }, { mask: [2, 3] }],
  }),
  contractCase({
    op: 'attentionWeights',
    name: 'self, without a mask',
    inputs: { x: normal(1, 5, 6), q: normal(6, 3), k: normal(6, 3) },
    run: ({ x, q, k }) => attentionWeights({ q: { weight: q }, k: { weight: k } }, x, x, { heads: 1 }),
    reference: ({ x, q, k }) => reference.attentionWeights(reference.linear(x, q), reference.linear(x, k), 1),
  }),
];

function weights(queryWidth: number, contextWidth: number, innerWidth: number, outWidth: number) {
  return {
    q: normal(queryWidth, innerWidth),
    k: normal(contextWidth, innerWidth),
    v: normal(contextWidth, innerWidth),
    out: normal(innerWidth, outWidth),
    shift: normal(outWidth),
  };
}

function heads(name: string, { B, N, M, D, heads }: Sizes): ContractCase {
  return contractCase({
    op: 'scaledDotProductAttention',
    name,
    inputs: { q: normal(B, N, D), k: normal(B, M, D), v: normal(B, M, D) },
    run: ({ q, k, v }) => scaledDotProductAttention(q, k, v, { heads }),
    reference: ({ q, k, v }) => reference.scaledDotProductAttention(q, k, v, heads),
    misshapen: [{ k: [B, M, D + 1] }, { v: [B, M + 1, D] }],
  });
}

function masked(name: string, { B, N, M, D, heads }: Sizes, mask: readonly number[]): ContractCase {
  return contractCase({
    op: 'scaledDotProductAttention',
    name,
    inputs: { q: normal(B, N, D), k: normal(B, M, D), v: normal(B, M, D), mask: fixed(mask, B, M) },
    run: ({ q, k, v, mask }) => scaledDotProductAttention(q, k, v, { heads, mask }),
    reference: ({ q, k, v, mask }) => reference.scaledDotProductAttention(q, k, v, heads, mask),
    misshapen: [{ mask: [B, M + 1] }],
  });
}

import { groupNorm, groupNormSilu } from '../../group-norm';
import { layerNorm } from '../../layer-norm';
import { contractCase, type ContractCase } from '../contract-case';
import { normal, normalAround, type Shape } from '../inputs';
import * as reference from '../reference';

const EPS = 1e-5;
const GROUP_NORMS = { groupNorm, groupNormSilu };

export const normalizationCases: readonly ContractCase[] = [
  ...(['groupNorm', 'groupNormSilu'] as const).flatMap((op) => [
    groups(op, 'odd image, 3 channels a group', [2, 5, 3, 12], 4),
    groups(op, '8 channels a group', [2, 4, 4, 16], 2),
    groups(op, 'one group', [1, 3, 3, 5], 1),
    groups(op, 'a group for each channel', [2, 3, 2, 4], 4),
    groups(op, 'rows of tokens', [2, 7, 6], 3),
    groups(op, 'vectors', [3, 8], 2),
    far(op),
    { ...groups(op, '272 positions, 32 channels', [2, 17, 16, 32], 8), large: true },
  ]),
  layer('odd width', [3, 5]),
  layer('tokens', [2, 3, 7]),
  layer('one vector', [16]),
  { ...layer('a width of 33', [5, 33]), large: true },
  { ...layer('300 rows', [300, 68]), large: true },
];

function groups(op: keyof typeof GROUP_NORMS, name: string, shape: Shape, count: number): ContractCase {
  const C = shape[shape.length - 1];
  return contractCase({
    op,
    name,
    inputs: { x: normal(...shape), weight: normalAround(1, 0.3, C), bias: normal(C) },
    run: ({ x, ...params }) => GROUP_NORMS[op](params, x, { groups: count, eps: EPS }),
    reference: ({ x, weight, bias }) => reference[op](x, weight, bias, count, EPS),
    misshapen: [{ x: [...shape.slice(0, -1), C + 1] }, { x: [C] }],
  });
}

/** A mean ten times the deviation: the difference of two large sums would show. */
function far(op: keyof typeof GROUP_NORMS): ContractCase {
  return contractCase({
    op,
    name: 'far from zero',
    inputs: { x: normalAround(10, 1, 2, 4, 5, 8), weight: normalAround(1, 0.3, 8), bias: normal(8) },
    run: ({ x, ...params }) => GROUP_NORMS[op](params, x, { groups: 2, eps: EPS }),
    reference: ({ x, weight, bias }) => reference[op](x, weight, bias, 2, EPS),
    tolerance: { value: 3e-5, gradient: 1e-4 }, // x itself is rounded by 6e-7 of its deviation
  });
}

function layer(name: string, shape: Shape): ContractCase {
  const D = shape[shape.length - 1];
  return contractCase({
    op: 'layerNorm',
    name,
    inputs: { x: normal(...shape), weight: normalAround(1, 0.3, D), bias: normal(D) },
    run: ({ x, ...params }) => layerNorm(params, x, { eps: EPS }),
    reference: ({ x, weight, bias }) => reference.layerNorm(x, weight, bias, EPS),
    misshapen: [{ x: [...shape.slice(0, -1), D + 1] }],
  });
}

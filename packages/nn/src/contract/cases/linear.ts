import { linear } from '../../linear';
import { contractCase, type ContractCase } from '../contract-case';
import { normal } from '../inputs';
import * as reference from '../reference';

export const linearCases: readonly ContractCase[] = [
  contractCase({
    op: 'linear',
    name: 'odd widths',
    inputs: { x: normal(3, 5), weight: normal(5, 7), bias: normal(7) },
    run: ({ x, ...params }) => linear(params, x),
    reference: ({ x, weight, bias }) => reference.linear(x, weight, bias),
    misshapen: [{ x: [3, 4] }],
  }),
  contractCase({
    op: 'linear',
    name: 'one vector, no bias',
    inputs: { x: normal(6), weight: normal(6, 4) },
    run: ({ x, weight }) => linear({ weight }, x),
    reference: ({ x, weight }) => reference.linear(x, weight),
    misshapen: [{ x: [] }],
  }),
  contractCase({
    op: 'linear',
    name: 'tokens, widths of 8',
    inputs: { x: normal(2, 3, 8), weight: normal(8, 16), bias: normal(16) },
    run: ({ x, ...params }) => linear(params, x),
    reference: ({ x, weight, bias }) => reference.linear(x, weight, bias),
  }),
  contractCase({
    op: 'linear',
    name: 'one number',
    inputs: { x: normal(1, 1), weight: normal(1, 1), bias: normal(1) },
    run: ({ x, ...params }) => linear(params, x),
    reference: ({ x, weight, bias }) => reference.linear(x, weight, bias),
  }),
  contractCase({
    op: 'linear',
    name: '301 rows, 133 to 37',
    inputs: { x: normal(301, 133), weight: normal(133, 37), bias: normal(37) },
    run: ({ x, ...params }) => linear(params, x),
    reference: ({ x, weight, bias }) => reference.linear(x, weight, bias),
    large: true,
  }),
  contractCase({
    op: 'linear',
    name: '5 rows, 520 to 130',
    inputs: { x: normal(5, 520), weight: normal(520, 130), bias: normal(130) },
    run: ({ x, ...params }) => linear(params, x),
    reference: ({ x, weight, bias }) => reference.linear(x, weight, bias),
    large: true,
  }),
];

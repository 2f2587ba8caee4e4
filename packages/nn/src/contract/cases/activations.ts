import { geglu, gelu, silu } from '../../activations';
import { contractCase, type ContractCase } from '../contract-case';
import { evenly, normal } from '../inputs';
import * as reference from '../reference';

const ELEMENTWISE = { silu, gelu };

export const activationCases: readonly ContractCase[] = [
  ...(['silu', 'gelu'] as const).flatMap((op) => [
    contractCase({
      op,
      name: 'from -8 to 8',
      inputs: { x: evenly(-8, 8, 129) },
      run: ({ x }) => ELEMENTWISE[op](x),
      reference: ({ x }) => reference[op](x),
    }),
    contractCase({
      op,
      name: 'far out',
      inputs: { x: evenly(-100, 100, 9) },
      run: ({ x }) => ELEMENTWISE[op](x),
      reference: ({ x }) => reference[op](x),
    }),
    contractCase({
      op,
      name: 'an odd image',
      inputs: { x: normal(1, 3, 5, 3) },
      run: ({ x }) => ELEMENTWISE[op](x),
      reference: ({ x }) => reference[op](x),
    }),
    contractCase({
      op,
      name: '20,011 numbers',
      inputs: { x: normal(20011) },
      run: ({ x }) => ELEMENTWISE[op](x),
      reference: ({ x }) => reference[op](x),
      large: true,
    }),
  ]),
  contractCase({
    op: 'geglu',
    name: 'odd widths',
    inputs: { x: normal(2, 3, 5), weight: normal(5, 14), bias: normal(14) },
    run: ({ x, weight, bias }) => geglu({ proj: { weight, bias } }, x),
    reference: ({ x, weight, bias }) => reference.geglu(x, weight, bias),
    misshapen: [{ x: [2, 3, 4] }],
  }),
  contractCase({
    op: 'geglu',
    name: 'no bias, widths of 8',
    inputs: { x: normal(3, 8), weight: normal(8, 16) },
    run: ({ x, weight }) => geglu({ proj: { weight } }, x),
    reference: ({ x, weight }) => reference.geglu(x, weight),
  }),
  contractCase({
    op: 'geglu',
    name: '150 rows',
    inputs: { x: normal(150, 12), weight: normal(12, 72), bias: normal(72) },
    run: ({ x, weight, bias }) => geglu({ proj: { weight, bias } }, x),
    reference: ({ x, weight, bias }) => reference.geglu(x, weight, bias),
    large: true,
  }),
];

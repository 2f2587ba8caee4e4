import { meanAll, sumAll, sumItems } from '../../sums';
import { contractCase, type ContractCase } from '../contract-case';
import { normal, normalAround } from '../inputs';
import * as reference from '../reference';

export const sumCases: readonly ContractCase[] = [
  contractCase({
    op: 'sumItems',
    name: 'one block',
    inputs: { x: normal(3, 5, 2) },
    run: ({ x }) => sumItems(x),
    reference: ({ x }) => reference.sumItems(x),
    misshapen: [{ x: [] }],
  }),
  contractCase({
    op: 'sumItems',
    name: 'blocks and a rest',
    inputs: { x: normalAround(0.1, 0.01, 2, 1300) },
    run: ({ x }) => sumItems(x),
    reference: ({ x }) => reference.sumItems(x),
  }),
  contractCase({
    op: 'sumItems',
    name: 'blocks of blocks of blocks',
    inputs: { x: normalAround(0.1, 0.01, 2, 512 * 512 + 3) },
    run: ({ x }) => sumItems(x),
    reference: ({ x }) => reference.sumItems(x),
    large: true,
  }),
  contractCase({
    op: 'sumAll',
    name: 'odd sizes',
    inputs: { x: normal(3, 5, 7) },
    run: ({ x }) => sumAll(x),
    reference: ({ x }) => reference.sumAll(x),
  }),
  contractCase({
    op: 'meanAll',
    name: 'blocks and a rest',
    inputs: { x: normalAround(0.1, 0.01, 3, 700) },
    run: ({ x }) => meanAll(x),
    reference: ({ x }) => {
      const { shape, data } = reference.sumAll(x);
      return { shape, data: data.map((sum) => sum / x.data.length) };
    },
  }),
];

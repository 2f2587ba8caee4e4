import { embedding } from '../../embedding';
import { gatherRows, segmentMean } from '../../segments';
import { contractCase, type ContractCase } from '../contract-case';
import { integers, normal } from '../inputs';
import * as reference from '../reference';

export const rowCases: readonly ContractCase[] = [
  contractCase({
    op: 'embedding',
    name: 'some ids twice, some never',
    inputs: { weight: normal(5, 3), ids: integers(5, 2, 4) },
    run: ({ weight, ids }) => embedding({ weight }, ids),
    reference: ({ weight, ids }) => reference.gatherRows(weight, ids),
  }),
  contractCase({
    op: 'embedding',
    name: '301 ids of 40 rows',
    inputs: { weight: normal(40, 12), ids: integers(40, 301) },
    run: ({ weight, ids }) => embedding({ weight }, ids),
    reference: ({ weight, ids }) => reference.gatherRows(weight, ids),
    large: true,
  }),
  ...[
    { name: 'a row twice, a row never', N: 4, M: 7, D: 3, large: false },
    { name: 'one row of 8', N: 1, M: 2, D: 8, large: false },
    { name: '3001 of 50 rows', N: 50, M: 3001, D: 72, large: true },
  ].map(({ name, N, M, D, large }) =>
    contractCase({
      op: 'gatherRows',
      name,
      inputs: { x: normal(N, D), ids: integers(N, M) },
      run: ({ x, ids }) => gatherRows(x, ids),
      reference: ({ x, ids }) => reference.gatherRows(x, ids),
      misshapen: [{ x: [N] }, { ids: [M, 1] }],
      large,
    }),
  ),
  ...[
    { name: 'segments with and without rows', M: 6, count: 9, D: 3, large: false },
    { name: 'one segment', M: 5, count: 1, D: 8, large: false },
    { name: '3001 rows in 40 segments', M: 3001, count: 40, D: 72, large: true },
  ].map(({ name, M, count, D, large }) =>
    contractCase({
      op: 'segmentMean',
      name,
      inputs: { x: normal(M, D), ids: integers(count, M) },
      run: ({ x, ids }) => segmentMean(x, ids, count),
      reference: ({ x, ids }) => reference.segmentMean(x, ids, count),
      misshapen: [{ x: [M] }, { ids: [M + 1] }],
      large,
    }),
  ),
];

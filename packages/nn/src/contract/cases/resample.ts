import { depthToSpace, spaceToDepth, upsampleNearest2x } from '../../resample';
import { contractCase, type ContractCase } from '../contract-case';
import { normal } from '../inputs';
import * as reference from '../reference';

export const resampleCases: readonly ContractCase[] = [
  contractCase({
    op: 'upsampleNearest2x',
    name: 'odd sizes',
    inputs: { x: normal(2, 3, 5, 3) },
    run: ({ x }) => upsampleNearest2x(x),
    reference: ({ x }) => reference.upsampleNearest2x(x),
  }),
  contractCase({
    op: 'upsampleNearest2x',
    name: '8 channels',
    inputs: { x: normal(1, 4, 3, 8) },
    run: ({ x }) => upsampleNearest2x(x),
    reference: ({ x }) => reference.upsampleNearest2x(x),
  }),
  contractCase({
    op: 'upsampleNearest2x',
    name: '48 rows',
    inputs: { x: normal(2, 24, 26, 44) },
    run: ({ x }) => upsampleNearest2x(x),
    reference: ({ x }) => reference.upsampleNearest2x(x),
    large: true,
  }),
  contractCase({
    op: 'spaceToDepth',
    name: 'blocks of 2',
    inputs: { x: normal(2, 4, 6, 3) },
    run: ({ x }) => spaceToDepth(x, 2),
    reference: ({ x }) => reference.spaceToDepth(x, 2),
    misshapen: [{ x: [2, 5, 6, 3] }],
  }),
  contractCase({
    op: 'depthToSpace',
    name: 'blocks of 3',
    inputs: { x: normal(2, 2, 1, 18) },
    run: ({ x }) => depthToSpace(x, 3),
    reference: ({ x }) => reference.depthToSpace(x, 3),
    misshapen: [{ x: [2, 2, 1, 17] }],
  }),
];

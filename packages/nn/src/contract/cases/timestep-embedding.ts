import { timestepEmbedding } from '../../timestep-embedding';
import { contractCase, type ContractCase } from '../contract-case';
import { evenly } from '../inputs';
import * as reference from '../reference';

export const timestepEmbeddingCases: readonly ContractCase[] = [7, 32].map((width) =>
  contractCase({
    op: 'timestepEmbedding',
    name: `0 to 999, width ${width}`,
    inputs: { t: evenly(0, 999, 5) },
    run: ({ t }) => timestepEmbedding(t, width),
    reference: ({ t }) => reference.timestepEmbedding(t, width, 10000),
    tolerance: { value: 5e-5, gradient: 5e-5 }, // a float32 angle of 999 is rounded by 3e-5, over a root mean square of 0.7
  }),
);

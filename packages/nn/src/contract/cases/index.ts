import type { ContractCase } from '../contract-case';
import { activationCases } from './activations';
import { attentionCases } from './attention';
import { conv2dCases } from './conv2d';
import { linearCases } from './linear';
import { modelCases } from './model';
import { normalizationCases } from './normalization';
import { resampleCases } from './resample';
import { rowCases } from './rows';
import { sumCases } from './sums';
import { timestepEmbeddingCases } from './timestep-embedding';
import { trainingCases } from './training';

/** Every operation of this package that runs on a backend. */
export const contractCases: readonly ContractCase[] = [
  ...linearCases,
  ...conv2dCases,
  ...normalizationCases,
  ...activationCases,
  ...attentionCases,
  ...rowCases,
  ...resampleCases,
  ...sumCases,
  ...timestepEmbeddingCases,
  ...trainingCases,
  ...modelCases,
];

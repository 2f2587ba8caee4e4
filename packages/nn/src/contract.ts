export { type ContractOptions, type ContractReport, type OpReport, runContract } from './contract/run-contract';
export type { CaseResult, ContractFailure } from './contract/case-log';
export { type ContractCase, type Named, type Tolerance, contractCase } from './contract/contract-case';
export {
  type Input,
  type Shape,
  type TensorOf,
  evenly,
  fixed,
  integers,
  normal,
  normalAround,
} from './contract/inputs';
export { type Numbers } from './contract/reference';
export { contractCases } from './contract/cases';

import * as tf from '@tensorflow/tfjs-core';
import type { CaseResult, ContractFailure } from './case-log';
import { checkCase } from './check-case';
import { contractCases } from './cases';
import type { ContractCase } from './contract-case';

export type ContractOptions = {
  /** What is checked; `contractCases` unless given. */
  readonly cases?: readonly ContractCase[];
  /** Only these operations. */
  readonly ops?: readonly string[];
  /** `small` leaves out the cases that cross the blocks of kernels: for emulated GPUs. `all` unless given. */
  readonly size?: 'small' | 'all';
  /** Called after each case. */
  readonly onCase?: (result: CaseResult) => void;
};

export type OpReport = {
  readonly op: string;
  readonly cases: number;
  readonly checks: number;
  readonly failures: number;
  /** Largest error of a value over all cases, relative to its size or the root mean square; Infinity where one is not finite. */
  readonly valueError: number;
  /** The same of the gradients. */
  readonly gradientError: number;
};

export type ContractReport = {
  /** Name of the tfjs backend. */
  readonly backend: string;
  readonly cases: number;
  readonly checks: number;
  readonly failures: readonly ContractFailure[];
  readonly ops: readonly OpReport[];
};

/**
 * Holds the operations of this package against their definitions on the present tfjs backend: values against float64,
 * gradients against central differences of the float64 values, inputs left as they were, no memory left behind, and
 * errors for inputs that do not fit or were disposed. `@tensorflow/tfjs` (or another package that registers tfjs'
 * gradients) must be imported. Runs in Node and in browsers.
 *
 * @returns What was checked and what failed; nothing is thrown for a failure.
 * @throws TypeError if no case is chosen.
 */
export async function runContract(options: ContractOptions = {}): Promise<ContractReport> {
  const { cases = contractCases, ops, size = 'all', onCase } = options;
  const chosen = cases.filter(({ op, large }) => (!ops || ops.includes(op)) && (size === 'all' || !large));
  if (chosen.length === 0) {
    const known = [...new Set(cases.map(({ op }) => op))].join(', ');
    throw new TypeError(`runContract: expected operations out of ${known}, received ${ops?.join(', ') ?? 'none'}.`);
  }
  await tf.ready();
  const results: CaseResult[] = [];
  for (const test of chosen) {
    const result = await checkCase(test);
    results.push(result);
    onCase?.(result);
  }
  return {
    backend: tf.getBackend(),
    cases: results.length,
    checks: total(results),
    failures: results.flatMap(({ failures }) => failures),
    ops: [...new Set(results.map(({ op }) => op))].map((op) =>
      summarize(
        op,
        results.filter((result) => result.op === op),
      ),
    ),
  };
}

function summarize(op: string, results: readonly CaseResult[]): OpReport {
  return {
    op,
    cases: results.length,
    checks: total(results),
    failures: results.reduce((count, { failures }) => count + failures.length, 0),
    valueError: Math.max(...results.map(({ valueError }) => valueError)),
    gradientError: Math.max(...results.map(({ gradientError }) => gradientError)),
  };
}

function total(results: readonly CaseResult[]): number {
  return results.reduce((sum, { checks }) => sum + checks, 0);
}

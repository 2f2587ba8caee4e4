import * as tf from '@tensorflow/tfjs-core';
import type { ContractCase } from './contract-case';

/** What an operation did that it should not have done. */
export type ContractFailure = {
  readonly op: string;
  readonly case: string;
  /** What was looked at: a value, a gradient, memory, an error. */
  readonly what: string;
  readonly expected: string;
  readonly received: string;
};

export type CaseResult = {
  readonly op: string;
  readonly case: string;
  readonly checks: number;
  readonly failures: readonly ContractFailure[];
  /** Largest relative error of a value; Infinity where one is not finite. */
  readonly valueError: number;
  /** The same of the gradients; 0 where there are none. */
  readonly gradientError: number;
};

/** The checks of one case. */
export type CaseLog = {
  check(what: string, right: boolean, values: () => readonly [expected: unknown, received: unknown]): void;
  /** The result of `work`, which must leave no memory behind; undefined if it throws, which is a failure. */
  run<T>(what: string, work: () => Promise<T>): Promise<T | undefined>;
  result(valueError: number, gradientError: number): CaseResult;
};

/** An empty log. */
export function createLog(test: ContractCase): CaseLog {
  const failures: ContractFailure[] = [];
  let checks = 0;
  const check: CaseLog['check'] = (what, right, values) => {
    checks++;
    if (right) return;
    const [expected, received] = values().map(String);
    failures.push({ op: test.op, case: test.name, what, expected, received });
  };
  return {
    check,
    async run(what, work) {
      try {
        let before = memoryInUse();
        let result = await work();
        if (memoryInUse() !== before) {
          // Once more: what is made at the first call and kept, like scratch memory, is not a leak.
          before = memoryInUse();
          result = await work();
        }
        const after = memoryInUse();
        check(`memory after ${what}`, after === before, () => [before, after]);
        return result;
      } catch (error) {
        check(what, false, () => ['a result', describe({ thrown: error })]);
        return undefined;
      }
    },
    result: (valueError, gradientError) => ({
      op: test.op,
      case: test.name,
      checks,
      failures,
      valueError,
      gradientError,
    }),
  };
}

function memoryInUse(): string {
  const { numTensors, numDataBuffers } = tf.memory();
  return `${numTensors} tensors, ${numDataBuffers} buffers, ${tf.backend().numDataIds()} of them on the backend`;
}

/** What was thrown, or that nothing was. */
export function describe(error: { readonly thrown: unknown } | undefined): string {
  if (error === undefined) return 'no error';
  return error.thrown instanceof Error ? `${error.thrown.name}: ${error.thrown.message}` : String(error.thrown);
}

import { expectNumber, SamplerError, shown } from './errors';

/**
 * The noise levels of a run: `sigmaMax`, whatever `at` gives in between, `sigmaMin`, and 0.
 *
 * @param where The public function, for messages.
 * @param at The level at a fraction of the way from `sigmaMax` at 0 to `sigmaMin` at 1.
 * @returns `steps + 1` numbers, strictly falling.
 * @throws SamplerError for bad arguments, and for levels that float32 cannot tell apart, in which steps are taken: no step has length 0.
 */
export function fallingLevels(
  where: string,
  sigmaMin: number,
  sigmaMax: number,
  steps: number,
  at: (fraction: number) => number,
): Float64Array {
  expectStepCount(where, steps);
  const ordered = steps === 1 ? sigmaMin <= sigmaMax : sigmaMin < sigmaMax; // a single step starts at sigmaMax and needs no other
  if (!(
    typeof sigmaMin === 'number' &&
    typeof sigmaMax === 'number' &&
    sigmaMin > 0 &&
    ordered &&
    sigmaMax < Infinity
  )) {
    throw new SamplerError(
      `${where}: expected 0 < sigmaMin < sigmaMax, both finite, received sigmaMin ${shown(sigmaMin)} and sigmaMax ${shown(sigmaMax)}.`,
      'bad_sigmas',
    );
  }
  const sigmas = Float64Array.from({ length: steps + 1 }, (_, index) => {
    if (index === 0) return sigmaMax;
    if (index === steps) return 0;
    return index === steps - 1 ? sigmaMin : at(index / (steps - 1)); // the ends to the last bit: a schedule ends there
  });
  const same = sigmas.findIndex((sigma, index) => index > 0 && !(Math.fround(sigma) < Math.fround(sigmas[index - 1]!)));
  if (same > 0) {
    throw new SamplerError(
      `${where}: expected settings under which every step falls, received some that make sigmas[${same - 1}] = ` +
        `${sigmas[same - 1]} and then sigmas[${same}] = ${sigmas[same]}. Take fewer steps or a milder curve.`,
      'bad_sigmas',
    );
  }
  return sigmas;
}

/** @throws SamplerError unless `steps` is a whole number from 1. */
export function expectStepCount(where: string, steps: number): void {
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;
  expectNumber(where, 'steps', steps, isCount, 'a whole number from 1', 'bad_steps');
}

/** @throws SamplerError unless the exponent or parameter `value` is finite and above 0. */
export function expectPositive(where: string, what: string, value: number): void {
  expectNumber(where, what, value, (given) => given > 0 && given < Infinity, 'a finite number above 0');
}

import { SamplerError } from './errors';

/**
 * The noise levels of a run: `sigmaMax`, whatever `at` gives in between, `sigmaMin`, and 0.
 *
 * @param where The public function, for messages.
 * @param at The level at a fraction of the way from `sigmaMax` at 0 to `sigmaMin` at 1.
 * @returns `steps + 1` numbers, strictly falling.
 * @throws SamplerError for bad arguments, and for levels that 64-bit numbers cannot tell apart: no step has length 0.
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
  if (!(sigmaMin > 0 && ordered && sigmaMax < Infinity)) {
    throw new SamplerError(
      `${where}: expected 0 < sigmaMin < sigmaMax, both finite, received sigmaMin ${sigmaMin} and sigmaMax ${sigmaMax}.`,
      'bad_sigmas',
    );
  }
  const sigmas = Float64Array.from({ length: steps + 1 }, (_, index) => {
    if (index === 0) return sigmaMax;
    if (index === steps) return 0;
    return index === steps - 1 ? sigmaMin : at(index / (steps - 1)); // the ends to the last bit: a schedule ends there
  });
  const same = sigmas.findIndex((sigma, index) => index > 0 && !(sigma < sigmas[index - 1]!));
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
  if (Number.isSafeInteger(steps) && steps >= 1) return;
  throw new SamplerError(`${where}: expected steps to be a whole number from 1, received ${steps}.`, 'bad_steps');
}

/** @throws SamplerError unless the exponent or parameter `value` is finite and above 0. */
export function expectPositive(where: string, what: string, value: number): void {
  if (value > 0 && value < Infinity) return;
  throw new SamplerError(
    `${where}: expected ${what} to be a finite number above 0, received ${value}.`,
    'bad_argument',
  );
}

// Names: a, b are the two parameters of a beta distribution; B_x(a, b) is the incomplete beta function, the integral of
// u^(a - 1) (1 - u)^(b - 1) from 0 to x.
import { expectObject } from './errors';
import { expectPositive, fallingLevels } from './falling-levels';
import { expectSchedule, sigmaOfTimestep, type Schedule } from './schedule';

export type BetaSigmasOptions = {
  /** Default 0.6: below 1, levels are dense towards low noise. */
  readonly alpha?: number;
  /** Default 0.6: below 1, levels are dense towards high noise. */
  readonly beta?: number;
};

/**
 * Noise levels that lie between `sigmaMin` and `sigmaMax` as the quantiles of a beta distribution do between 0 and 1: by default
 * dense at both ends.
 *
 * Dense **in sigma**, as diffusers has it: from 84 to 0.04, the quantiles leave hardly a level between 4 and 0.04 in 10 steps, where
 * pictures take shape. What the paper describes, and most people mean by the beta scheduler, is `betaTimestepSigmas`. This one is for
 * parity with diffusers, and for a schedule whose sigmas do not range over decades.
 *
 * @param sigmaMin The level before the last step, e.g. `schedule.sigmas[0]`; above 0.
 * @param sigmaMax The level that the run starts from, e.g. `schedule.sigmas.at(-1)`.
 * @returns `steps + 1` numbers, strictly falling, the last 0. A single step starts at `sigmaMax`.
 * @throws SamplerError for bad arguments, and where `alpha` or `beta` is so small that levels at an end fall together.
 * @see arXiv:2407.12173, which spaces timesteps so; in sigma, as here, it is diffusers'.
 */
export function betaSigmas(
  sigmaMin: number,
  sigmaMax: number,
  steps: number,
  options: BetaSigmasOptions = {},
): Float64Array {
  const at = betaSpacing('betaSigmas', sigmaMin, sigmaMax, options);
  return fallingLevels('betaSigmas', sigmaMin, sigmaMax, steps, at);
}

/**
 * The noise levels of timesteps that lie as the quantiles of a beta distribution do, from the schedule's last timestep to its first,
 * and 0: by default, with (0.6, 0.6), dense at both ends, where the authors find that most of the layout and of the detail is drawn.
 *
 * Timesteps are not rounded, so no two steps share one; a level between two timesteps is interpolated as `timestepOfSigma` does it.
 * Both ends are among the levels. (ComfyUI's "beta" rounds, and leaves the lowest out.)
 *
 * @returns `steps + 1` numbers, strictly falling from the schedule's highest level to its lowest, and 0. A single step starts at the highest.
 * @throws SamplerError as `betaSigmas`.
 * @see arXiv:2407.12173, section 4.
 */
export function betaTimestepSigmas(schedule: Schedule, steps: number, options: BetaSigmasOptions = {}): Float64Array {
  const where = 'betaTimestepSigmas';
  expectSchedule(where, schedule);
  const { sigmas } = schedule;
  const last = sigmas.length - 1;
  const at = betaSpacing(where, 0, last, options);
  return fallingLevels(where, sigmas[0]!, sigmas[last]!, steps, (way) => sigmaOfTimestep(schedule, at(way)));
}

/** The quantile at a fraction of the way from `max` at 0 to `min` at 1, of the distribution between them. */
function betaSpacing(where: string, min: number, max: number, options: BetaSigmasOptions): (way: number) => number {
  expectObject(where, 'options', options);
  const { alpha = 0.6, beta = 0.6 } = options;
  expectPositive(where, 'alpha', alpha);
  expectPositive(where, 'beta', beta);
  const lower = incompleteBeta(0.5, alpha, beta);
  const upper = incompleteBeta(0.5, beta, alpha);
  const whole = lower + upper; // B(a, b), without a gamma function
  return (way) =>
    way * whole < upper
      ? max - (max - min) * inverse(way * whole, beta, alpha) // measured from the nearer end, where all digits are
      : min + (max - min) * inverse((1 - way) * whole, alpha, beta);
}

/** The x from 0 to 1/2 with B_x(a, b) = area, by bisection in log x. */
function inverse(area: number, a: number, b: number): number {
  let [low, high] = [-745, Math.log(0.5)]; // exp(-745) is the smallest number above 0
  for (let i = 0; i < 64; i++) {
    const middle = (low + high) / 2;
    if (incompleteBeta(Math.exp(middle), a, b) < area) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

/** B_x(a, b) for x from 0 to 1/2, where the series halves with every term or soon will (DLMF 8.17.8, all terms positive). */
function incompleteBeta(x: number, a: number, b: number): number {
  let [sum, term] = [1, 1];
  for (let k = 0; term > 1e-17 * sum; k++) {
    term *= (x * (a + b + k)) / (a + 1 + k);
    sum += term;
  }
  return ((x ** a * (1 - x) ** b) / a) * sum;
}

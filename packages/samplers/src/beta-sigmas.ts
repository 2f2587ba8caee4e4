// Names: a, b are the two parameters of a beta distribution; B_x(a, b) is the incomplete beta function, the integral of
// u^(a - 1) (1 - u)^(b - 1) from 0 to x.
import { expectPositive, fallingLevels } from './falling-levels';

export type BetaSigmasOptions = {
  /** Default 0.6: below 1, levels are dense towards low noise. */
  readonly alpha?: number;
  /** Default 0.6: below 1, levels are dense towards high noise. */
  readonly beta?: number;
};

/**
 * Noise levels that lie between `sigmaMin` and `sigmaMax` as the quantiles of a beta distribution do between 0 and 1: by default
 * dense at both ends, where pictures get their layout and their detail.
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
  { alpha = 0.6, beta = 0.6 }: BetaSigmasOptions = {},
): Float64Array {
  expectPositive('betaSigmas', 'alpha', alpha);
  expectPositive('betaSigmas', 'beta', beta);
  const lower = incompleteBeta(0.5, alpha, beta);
  const upper = incompleteBeta(0.5, beta, alpha);
  const whole = lower + upper; // B(a, b), without a gamma function
  const range = sigmaMax - sigmaMin;
  return fallingLevels('betaSigmas', sigmaMin, sigmaMax, steps, (way) =>
    way * whole < upper
      ? sigmaMax - range * inverse(way * whole, beta, alpha) // measured from the nearer end, where all digits are
      : sigmaMin + range * inverse((1 - way) * whole, alpha, beta),
  );
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

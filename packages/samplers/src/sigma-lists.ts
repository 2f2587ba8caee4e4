import { expectList, SamplerError, shown } from './errors';
import { expectPositive, fallingLevels } from './falling-levels';

/**
 * Noise levels whose `rho`-th roots are evenly spaced: denser towards low noise the larger `rho` is.
 *
 * @param sigmaMin The level before the last step, e.g. `schedule.sigmas[0]`; above 0.
 * @param sigmaMax The level that the run starts from, e.g. `schedule.sigmas.at(-1)`.
 * @returns `steps + 1` numbers, strictly falling, the last 0. A single step starts at `sigmaMax`.
 * @throws SamplerError for bad arguments.
 * @see arXiv:2206.00364, equation 5.
 */
export function karrasSigmas(sigmaMin: number, sigmaMax: number, steps: number, rho = 7): Float64Array {
  expectPositive('karrasSigmas', 'rho', rho);
  const [from, to] = [sigmaMax ** (1 / rho), sigmaMin ** (1 / rho)];
  return fallingLevels('karrasSigmas', sigmaMin, sigmaMax, steps, (way) => (from + way * (to - from)) ** rho);
}

/**
 * Noise levels whose logarithms are evenly spaced.
 *
 * @returns `steps + 1` numbers as of `karrasSigmas`, of which it is the limit for large `rho`.
 * @throws SamplerError for bad arguments.
 */
export function exponentialSigmas(sigmaMin: number, sigmaMax: number, steps: number): Float64Array {
  return logSpaced('exponentialSigmas', sigmaMin, sigmaMax, steps, 1);
}

/**
 * Noise levels whose logarithms follow a power of an even spacing: `rho` above 1 is denser towards low noise than
 * `exponentialSigmas`, below 1 denser towards high noise.
 *
 * @returns `steps + 1` numbers as of `karrasSigmas`.
 * @throws SamplerError for bad arguments.
 * @see k-diffusion, get_sigmas_polyexponential.
 */
export function polyexponentialSigmas(sigmaMin: number, sigmaMax: number, steps: number, rho = 1): Float64Array {
  expectPositive('polyexponentialSigmas', 'rho', rho);
  return logSpaced('polyexponentialSigmas', sigmaMin, sigmaMax, steps, rho);
}

/**
 * A given list of noise levels, drawn out or thinned to another number of steps: linear in log sigma between its entries. So that
 * the optimised lists of ten steps or so (Align Your Steps) serve for any number.
 *
 * @param sigmas Strictly falling, above 0; a 0 at the end is no level to be drawn from and is passed over.
 * @returns `steps + 1` numbers, strictly falling from the first given level, the last 0; the given list itself if it has as many.
 * @throws SamplerError for bad arguments.
 * @see arXiv:2404.14507.
 */
export function resampledSigmas(sigmas: ArrayLike<number>, steps: number): Float64Array {
  const where = 'resampledSigmas';
  expectList(where, 'sigmas', sigmas, 'bad_sigmas');
  const given = Array.from(sigmas);
  if (given.at(-1) === 0) given.pop();
  const bad = given.findIndex(
    (sigma, i) => !(typeof sigma === 'number' && sigma > 0 && sigma < (i > 0 ? given[i - 1]! : Infinity)),
  );
  if (given.length === 0 || bad >= 0) {
    const received =
      bad < 0 ? 'none' : `sigmas[${bad}] = ${shown(given[bad])}${bad > 0 ? ` after ${given[bad - 1]}` : ''}`;
    throw new SamplerError(
      `${where}: expected at least one sigma above 0, and every one lower than the one before, received ${received}.`,
      'bad_sigmas',
    );
  }
  return fallingLevels(where, given.at(-1)!, given[0]!, steps, (way) => {
    const place = way * (given.length - 1);
    const before = Math.min(Math.floor(place), given.length - 2);
    const [high, low, rest] = [given[before]!, given[before + 1]!, place - before];
    return rest === 0 ? high : high ** (1 - rest) * low ** rest;
  });
}

function logSpaced(where: string, sigmaMin: number, sigmaMax: number, steps: number, rho: number): Float64Array {
  const [from, to] = [Math.log(sigmaMin), Math.log(sigmaMax)];
  return fallingLevels(where, sigmaMin, sigmaMax, steps, (way) => Math.exp(from + (1 - way) ** rho * (to - from)));
}

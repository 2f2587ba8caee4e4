// Names: betas[t] and alphasCumprod[t] are beta_t and alpha-bar_t of arXiv:2006.11239, counted from t = 0;
// sigmas[t] = sqrt((1 - alphasCumprod[t]) / alphasCumprod[t]) is the noise level of arXiv:2206.00364.
import { expectList, expectNumber, expectObject, expectOneOf, SamplerError, shown } from './errors';

export type ScheduleKind = 'linear' | 'sqrt-linear' | 'cosine' | 'sigmoid';

/** A noise schedule as it stands in a model file. */
export type ScheduleConfig = {
  readonly kind: ScheduleKind;
  /** How many noise levels the model was trained on, e.g. 1000. */
  readonly timesteps: number;
  /** First beta; needed by all kinds but 'cosine', which does not use it. */
  readonly betaStart?: number;
  /** Last beta; needed by all kinds but 'cosine', which does not use it. */
  readonly betaEnd?: number;
  /** Passes the schedule through `zeroTerminalSnr`: for models that were trained so. Default false. */
  readonly zeroTerminalSnr?: boolean;
};

/** The same schedule as numbers: plain 64-bit data, one entry per timestep, noise rising with the index. */
export type Schedule = {
  readonly timesteps: number;
  readonly betas: Float64Array;
  readonly alphasCumprod: Float64Array;
  /** All finite: where `alphasCumprod` is 0, a large number that stands for infinity (`zeroTerminalSnr`). */
  readonly sigmas: Float64Array;
};

const KINDS: readonly ScheduleKind[] = ['linear', 'sqrt-linear', 'cosine', 'sigmoid'];
const MAX_COSINE_BETA = 0.999;
/** Half the width of the sigmoid's ramp, in units in which its slope at the middle is 1/4. */
const SIGMOID_REACH = 6;
/** The sigma of alphaCumprod 2^-24, at which x0 is below the last bit of a float32 of the noise: what diffusers takes. */
const PURE_NOISE_SIGMA = Math.sqrt(2 ** 24 - 1);

/**
 * The noise levels of a variance-preserving diffusion, in 64-bit numbers.
 *
 * - 'linear': betas on a straight line from `betaStart` to `betaEnd` (arXiv:2006.11239, section 4).
 * - 'sqrt-linear': squares of a straight line between the square roots, what latent diffusion calls "linear".
 *   SGDiff's values are `betaStart` 0.0015, `betaEnd` 0.0195, 1000 timesteps.
 * - 'cosine': alpha-bar follows a squared cosine; betas are cut at 0.999 (arXiv:2102.09672, equation 17).
 * - 'sigmoid': betas rise from near `betaStart` to near `betaEnd` as the logistic function does from -6 to 6: 0.25 % of the way
 *   is missing at either end (GeoDiff, arXiv:2203.02923, and diffusers).
 *
 * @throws SamplerError if the kind is unknown, `timesteps` is no whole number from 1 (with `zeroTerminalSnr` from 2), or a beta is
 *   not in (0, 1).
 */
export function createSchedule(config: ScheduleConfig): Schedule {
  expectObject('createSchedule', 'config', config);
  const { timesteps } = config;
  expectOneOf('createSchedule', 'kind', config.kind, KINDS);
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;
  expectNumber('createSchedule', 'timesteps', timesteps, isCount, 'a whole number from 1');
  const schedule = scheduleFromBetas(config.kind === 'cosine' ? cosineBetas(timesteps) : risingBetas(config));
  return config.zeroTerminalSnr ? zeroTerminalSnr(schedule) : schedule;
}

/**
 * The schedule of any list of betas, e.g. one read from a file.
 *
 * @throws SamplerError if the list is empty, a beta is not in (0, 1), or they add so much noise that a sigma is beyond float32.
 */
export function scheduleFromBetas(values: ArrayLike<number>): Schedule {
  const where = 'scheduleFromBetas';
  expectList(where, 'betas', values);
  const betas = Float64Array.from(values);
  if (betas.length === 0)
    throw new SamplerError(`${where}: expected at least one beta, received none.`, 'bad_argument');
  const alphasCumprod = new Float64Array(betas.length);
  const sigmas = new Float64Array(betas.length);
  let product = 1;
  let logSum = 0;
  betas.forEach((beta, t) => {
    if (!(typeof values[t] === 'number' && beta > 0 && beta < 1)) {
      throw new SamplerError(
        `${where}: expected every beta above 0 and below 1, received betas[${t}] = ${shown(values[t])}.`,
        'bad_argument',
      );
    }
    product *= 1 - beta;
    logSum -= Math.log1p(-beta);
    alphasCumprod[t] = product;
    // Of (1 - product) / product: without the digits that 1 - product loses where little noise has been added.
    sigmas[t] = Math.sqrt(product > 0.9 ? Math.expm1(logSum) : (1 - product) / product);
    if (!(Math.fround(sigmas[t]!) < Infinity)) {
      throw new SamplerError(
        `${where}: expected betas under which sigmas stay finite in float32, received betas that leave ` +
          `${product} of the data's variance at t = ${t}. Take smaller or fewer ones.`,
        'bad_argument',
      );
    }
  });
  return { timesteps: betas.length, betas, alphasCumprod, sigmas };
}

/**
 * The schedule with its square roots of alpha-bar shifted and scaled, so that the first stays and the last is 0: training then ends
 * in pure noise, as sampling begins. For 'v' and 'x0' prediction; 'eps' says nothing of x0 there, and `denoiserFromModel` refuses it.
 *
 * `alphasCumprod` ends with 0 and `betas` with 1, exactly. The last sigma would be infinite. In its place stands the one of
 * alphaCumprod 2^-24, 4096, or twice the level before it where that is higher: so that sigmas rise, and can be computed with. (In
 * diffusers it is 4096 always, which on SGDiff's schedule is less than the 8371 before it.)
 *
 * @throws SamplerError if the schedule has one timestep only.
 * @see arXiv:2305.08891, algorithm 1.
 */
export function zeroTerminalSnr(schedule: Schedule): Schedule {
  expectSchedule('zeroTerminalSnr', schedule);
  const { timesteps } = schedule;
  const last = timesteps - 1;
  if (last < 1) {
    throw new SamplerError(
      `zeroTerminalSnr: expected a schedule of at least 2 timesteps, received ${timesteps}.`,
      'bad_argument',
    );
  }
  const roots = schedule.alphasCumprod.map(Math.sqrt);
  const scale = roots[0]! / (roots[0]! - roots[last]!);
  const alphasCumprod = roots.map((root) => ((root - roots[last]!) * scale) ** 2);
  alphasCumprod[0] = schedule.alphasCumprod[0]!; // to the last bit
  const betas = alphasCumprod.map((alphaCumprod, t) => 1 - alphaCumprod / (t > 0 ? alphasCumprod[t - 1]! : 1));
  const sigmas = alphasCumprod.map((alphaCumprod) => Math.sqrt((1 - alphaCumprod) / alphaCumprod));
  sigmas[0] = schedule.sigmas[0]!; // to the last bit
  sigmas[last] = Math.max(PURE_NOISE_SIGMA, 2 * sigmas[last - 1]!);
  return { timesteps, betas, alphasCumprod, sigmas };
}

/**
 * The timestep whose noise level is `sigma`: exactly `t` for `schedule.sigmas[t]`, and in between linear in log sigma.
 *
 * @returns A number from 0 to `timesteps - 1`, whole only where `sigma` is one of the schedule's own.
 * @throws SamplerError if `sigma` lies outside the schedule: the model has never seen such a noise level.
 */
export function timestepOfSigma(schedule: Schedule, sigma: number): number {
  expectSchedule('timestepOfSigma', schedule);
  const { sigmas } = schedule;
  const last = sigmas.length - 1;
  const slack = 1e-9; // rounding in a list of sigmas the caller computed
  if (!(sigma >= sigmas[0]! * (1 - slack) && sigma <= sigmas[last]! * (1 + slack))) {
    throw new SamplerError(
      `timestepOfSigma: expected sigma between ${sigmas[0]} and ${sigmas[last]}, the levels of the schedule, ` +
        `received ${shown(sigma)}. Take the sigmas from samplingSigmas, or keep your own within these bounds.`,
      'out_of_range',
    );
  }
  let low = 0;
  let high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sigmas[middle]! <= sigma) low = middle;
    else high = middle;
  }
  if (sigma <= sigmas[low]!) return low;
  if (sigma >= sigmas[high]!) return high;
  const from = Math.log(sigmas[low]!);
  return low + (Math.log(sigma) - from) / (Math.log(sigmas[high]!) - from);
}

/** The noise level of a timestep, whole or between two: the inverse of `timestepOfSigma`. */
export function sigmaOfTimestep({ sigmas }: Schedule, t: number): number {
  const low = Math.floor(t);
  const rest = t - low;
  return rest === 0 ? sigmas[low]! : sigmas[low]! * (sigmas[low + 1]! / sigmas[low]!) ** rest;
}

/** @throws SamplerError unless `schedule` may be one. For callers without types. */
export function expectSchedule(where: string, schedule: Schedule): void {
  expectObject(where, 'schedule', schedule);
  expectList(where, 'schedule.sigmas', schedule.sigmas);
}

function risingBetas({ kind, timesteps, betaStart, betaEnd }: ScheduleConfig): Float64Array {
  if (betaStart === undefined || betaEnd === undefined || !(betaStart > 0 && betaStart <= betaEnd && betaEnd < 1)) {
    throw new SamplerError(
      `createSchedule: expected 0 < betaStart <= betaEnd < 1 for a '${kind}' schedule, ` +
        `received betaStart ${shown(betaStart)} and betaEnd ${shown(betaEnd)}.`,
      'bad_argument',
    );
  }
  if (kind === 'sigmoid') {
    const logistic = (z: number) => 1 / (1 + Math.exp(-z));
    return line(-SIGMOID_REACH, SIGMOID_REACH, timesteps).map((z) => betaStart + logistic(z) * (betaEnd - betaStart));
  }
  if (kind === 'linear') return line(betaStart, betaEnd, timesteps);
  return line(Math.sqrt(betaStart), Math.sqrt(betaEnd), timesteps).map((root) => root * root);
}

/** Evenly spaced numbers. The last is set, not summed up, so that it is `end` to the last bit. */
function line(start: number, end: number, length: number): Float64Array {
  const slope = length > 1 ? (end - start) / (length - 1) : 0;
  return Float64Array.from({ length }, (_, i) => (i > 0 && i === length - 1 ? end : start + slope * i));
}

function cosineBetas(timesteps: number): Float64Array {
  const alphaBar = (time: number) => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float64Array.from({ length: timesteps }, (_, t) =>
    Math.min(1 - alphaBar((t + 1) / timesteps) / alphaBar(t / timesteps), MAX_COSINE_BETA),
  );
}

// Names: betas[t] and alphasCumprod[t] are beta_t and alpha-bar_t of arXiv:2006.11239, counted from t = 0;
// sigmas[t] = sqrt((1 - alphasCumprod[t]) / alphasCumprod[t]) is the noise level of arXiv:2206.00364.
import { expectOneOf, SamplerError } from './errors';

export type ScheduleKind = 'linear' | 'sqrt-linear' | 'cosine';

/** A noise schedule as it stands in a model file. */
export type ScheduleConfig = {
  readonly kind: ScheduleKind;
  /** How many noise levels the model was trained on, e.g. 1000. */
  readonly timesteps: number;
  /** First beta; needed by 'linear' and 'sqrt-linear', not used by 'cosine'. */
  readonly betaStart?: number;
  /** Last beta; needed by 'linear' and 'sqrt-linear', not used by 'cosine'. */
  readonly betaEnd?: number;
};

/** The same schedule as numbers: plain 64-bit data, one entry per timestep, noise rising with the index. */
export type Schedule = {
  readonly timesteps: number;
  readonly betas: Float64Array;
  readonly alphasCumprod: Float64Array;
  readonly sigmas: Float64Array;
};

const KINDS: readonly ScheduleKind[] = ['linear', 'sqrt-linear', 'cosine'];
const MAX_COSINE_BETA = 0.999;

/**
 * The noise levels of a variance-preserving diffusion, in 64-bit numbers.
 *
 * - 'linear': betas on a straight line from `betaStart` to `betaEnd` (arXiv:2006.11239, section 4).
 * - 'sqrt-linear': squares of a straight line between the square roots, what latent diffusion calls "linear".
 *   SGDiff's values are `betaStart` 0.0015, `betaEnd` 0.0195, 1000 timesteps.
 * - 'cosine': alpha-bar follows a squared cosine; betas are cut at 0.999 (arXiv:2102.09672, equation 17).
 *
 * @throws SamplerError if the kind is unknown, `timesteps` is no whole number from 1, or a beta is not in (0, 1).
 */
export function createSchedule(config: ScheduleConfig): Schedule {
  const { timesteps } = config;
  expectOneOf('createSchedule', 'kind', config.kind, KINDS);
  if (!Number.isSafeInteger(timesteps) || timesteps < 1) {
    throw new SamplerError(
      `createSchedule: expected timesteps to be a whole number from 1, received ${timesteps}.`,
      'bad_argument',
    );
  }
  return scheduleFromBetas(config.kind === 'cosine' ? cosineBetas(timesteps) : linearBetas(config));
}

/**
 * The schedule of any list of betas, e.g. one read from a file.
 *
 * @throws SamplerError if the list is empty or a beta is not in (0, 1).
 */
export function scheduleFromBetas(values: ArrayLike<number>): Schedule {
  const betas = Float64Array.from(values);
  if (betas.length === 0)
    throw new SamplerError('scheduleFromBetas: expected at least one beta, received none.', 'bad_argument');
  const alphasCumprod = new Float64Array(betas.length);
  let product = 1;
  betas.forEach((beta, t) => {
    if (!(beta > 0 && beta < 1)) {
      throw new SamplerError(
        `scheduleFromBetas: expected every beta above 0 and below 1, received betas[${t}] = ${beta}.`,
        'bad_argument',
      );
    }
    product *= 1 - beta;
    alphasCumprod[t] = product;
  });
  const sigmas = alphasCumprod.map((alphaCumprod) => Math.sqrt((1 - alphaCumprod) / alphaCumprod));
  return { timesteps: betas.length, betas, alphasCumprod, sigmas };
}

/**
 * The timestep whose noise level is `sigma`: exactly `t` for `schedule.sigmas[t]`, and in between linear in log sigma.
 *
 * @returns A number from 0 to `timesteps - 1`, whole only where `sigma` is one of the schedule's own.
 * @throws SamplerError if `sigma` lies outside the schedule: the model has never seen such a noise level.
 */
export function timestepOfSigma(schedule: Schedule, sigma: number): number {
  const { sigmas } = schedule;
  const last = sigmas.length - 1;
  const slack = 1e-9; // rounding in a list of sigmas the caller computed
  if (!(sigma >= sigmas[0]! * (1 - slack) && sigma <= sigmas[last]! * (1 + slack))) {
    throw new SamplerError(
      `timestepOfSigma: expected sigma between ${sigmas[0]} and ${sigmas[last]}, the levels of the schedule, ` +
        `received ${sigma}. Take the sigmas from samplingSigmas, or keep your own within these bounds.`,
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

function linearBetas({ kind, timesteps, betaStart, betaEnd }: ScheduleConfig): Float64Array {
  if (betaStart === undefined || betaEnd === undefined || !(betaStart > 0 && betaStart <= betaEnd && betaEnd < 1)) {
    throw new SamplerError(
      `createSchedule: expected 0 < betaStart <= betaEnd < 1 for a '${kind}' schedule, ` +
        `received betaStart ${betaStart} and betaEnd ${betaEnd}.`,
      'bad_argument',
    );
  }
  const root = kind === 'sqrt-linear';
  const start = root ? Math.sqrt(betaStart) : betaStart;
  const end = root ? Math.sqrt(betaEnd) : betaEnd;
  const slope = timesteps > 1 ? (end - start) / (timesteps - 1) : 0;
  return Float64Array.from({ length: timesteps }, (_, t) => {
    // The last point is set, not summed up, so that the schedule ends on betaEnd to the last bit but the square's.
    const value = t > 0 && t === timesteps - 1 ? end : start + slope * t;
    return root ? value * value : value;
  });
}

function cosineBetas(timesteps: number): Float64Array {
  const alphaBar = (time: number) => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Float64Array.from({ length: timesteps }, (_, t) =>
    Math.min(1 - alphaBar((t + 1) / timesteps) / alphaBar(t / timesteps), MAX_COSINE_BETA),
  );
}

import { expectList, expectNumber, expectObject, expectOneOf, SamplerError, shown } from './errors';
import { expectSchedule, type Schedule } from './schedule';

/**
 * Which of the schedule's timesteps a short run visits (arXiv:2305.08891, table 2).
 *
 * - 'trailing' starts at the very last timestep, where training ended in noise. The best choice for few steps.
 * - 'leading' counts up from 0 in whole strides, so it may start well below the highest noise: with one step at t = 0.
 * - 'linspace' spreads from 0 to the last timestep, both included; a single step takes the last.
 */
export type StepSpacing = 'leading' | 'trailing' | 'linspace';

export type SamplingStepOptions = {
  /** Default 'trailing'. */
  readonly spacing?: StepSpacing;
  /** Added to every timestep of 'leading' (published SGDiff and latent diffusion use 1). Default 0. */
  readonly offset?: number;
};

const SPACINGS: readonly StepSpacing[] = ['leading', 'trailing', 'linspace'];

/**
 * The timesteps a run of `steps` steps visits: exactly `steps` of them, all different, falling.
 *
 * The lists equal those of diffusers' DDIM, but for its faults: too many steps with 'trailing' (62 for 61, and in 61 more
 * cases), and a single 'linspace' step that starts at t = 0.
 *
 * @throws SamplerError if `steps` is no whole number from 1 to `schedule.timesteps`, or an offset leaves the schedule.
 */
export function samplingTimesteps(schedule: Schedule, steps: number, options: SamplingStepOptions = {}): Int32Array {
  expectObject('samplingTimesteps', 'options', options);
  const { spacing = 'trailing', offset = 0 } = options;
  expectSchedule('samplingTimesteps', schedule);
  const T = schedule.timesteps;
  expectOneOf('samplingTimesteps', 'spacing', spacing, SPACINGS);
  expectStepsWithin('samplingTimesteps', steps, T);
  const stride = Math.floor(T / steps);
  const room = spacing === 'leading' ? T - 1 - (steps - 1) * stride : 0;
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > room) {
    throw new SamplerError(
      `samplingTimesteps: expected offset to be a whole number from 0 to ${room} for ${steps} steps with ` +
        `'${spacing}' spacing, received ${shown(offset)}. A larger one runs past the last timestep, ${T - 1}.`,
      'bad_steps',
    );
  }
  // The last two are worked out as NumPy's linspace and arange do, to the rounding: so halves fall to the same side.
  const fraction = T - (T - T / steps);
  const timestepAt = {
    leading: (index: number) => (steps - 1 - index) * stride + offset,
    trailing: (index: number) => roundHalfToEven(T - index * fraction) - 1,
    linspace: (index: number) => (index === 0 ? T - 1 : roundHalfToEven(((T - 1) / (steps - 1)) * (steps - 1 - index))),
  }[spacing];
  return Int32Array.from({ length: steps }, (_, index) => timestepAt(index));
}

/**
 * The noise levels of a run of `steps` steps: those of `samplingTimesteps`, then 0.
 *
 * @returns `steps + 1` numbers, strictly falling, the last 0. Pass them to a sampler.
 * @throws SamplerError as `samplingTimesteps`.
 */
export function samplingSigmas(schedule: Schedule, steps: number, options: SamplingStepOptions = {}): Float64Array {
  const timesteps = samplingTimesteps(schedule, steps, options);
  return Float64Array.from({ length: steps + 1 }, (_, index) =>
    index < steps ? schedule.sigmas[timesteps[index]!]! : 0,
  );
}

/**
 * The noise levels of a run over given timesteps, then 0: for lists from elsewhere, e.g. the optimised ones of Align Your Steps
 * (arXiv:2404.14507).
 *
 * @param timesteps Whole numbers within the schedule, strictly falling.
 * @returns One number more than there are timesteps, strictly falling, the last 0.
 * @throws SamplerError for an empty list, and for a timestep that is outside the schedule or does not fall.
 */
export function sigmasOfTimesteps(schedule: Schedule, timesteps: ArrayLike<number>): Float64Array {
  expectSchedule('sigmasOfTimesteps', schedule);
  expectList('sigmasOfTimesteps', 'timesteps', timesteps, 'bad_steps');
  const list = Array.from(timesteps);
  if (list.length === 0)
    throw new SamplerError('sigmasOfTimesteps: expected at least one timestep, received none.', 'bad_steps');
  list.forEach((t, index) => {
    if (!Number.isSafeInteger(t) || t < 0 || t >= schedule.timesteps) {
      throw new SamplerError(
        `sigmasOfTimesteps: expected every timestep to be a whole number from 0 to ${schedule.timesteps - 1}, ` +
          `received timesteps[${index}] = ${shown(t)}.`,
        'bad_steps',
      );
    }
    if (index > 0 && t >= list[index - 1]!) {
      throw new SamplerError(
        `sigmasOfTimesteps: expected timesteps that fall, received timesteps[${index - 1}] = ${list[index - 1]} ` +
          `and then timesteps[${index}] = ${t}.`,
        'bad_steps',
      );
    }
  });
  return Float64Array.from([...list.map((t) => schedule.sigmas[t]!), 0]);
}

/** @throws SamplerError unless `steps` is a whole number from 1 to the timesteps of the schedule. */
export function expectStepsWithin(where: string, steps: number, T: number): void {
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1 && value <= T;
  expectNumber(
    where,
    'steps',
    steps,
    isCount,
    `a whole number from 1 to ${T}, the timesteps of the schedule`,
    'bad_steps',
  );
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

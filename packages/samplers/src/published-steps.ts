// Names: S steps asked for, c the stride between two timesteps, T timesteps of the schedule.
import { SamplerError } from './errors';
import { expectStepsWithin } from './sampling-steps';
import { expectSchedule, type Schedule } from './schedule';

/**
 * The timesteps that latent diffusion's samplers, and so published SGDiff's, visit: every c-th from 0, plus 1, for
 * c = floor(T / S); falling. For 200 of 1000: 996, 991, … 6, 1.
 *
 * For parity with them, faults included, so unlike `samplingTimesteps` there may be **more than `steps`**: the whole range
 * is filled, which takes 31 for 30, 63 for 60, 167 for 150, 500 for 400. It is as many as asked where `steps` divides T.
 *
 * @throws SamplerError if `steps` is no whole number from 1 to T, or if the last timestep would be T, where the published
 *   code crashes (for T = 1000: 3, 9, 27, 36, 37, 101-111, 251-333 and 501-1000); the message names the nearest that work.
 * @see arXiv:2112.10752, whose code the published sampler is; arXiv:2010.02502, appendix D.3, for the subset.
 */
export function publishedTimesteps(schedule: Schedule, steps: number): Int32Array {
  expectSchedule('publishedTimesteps', schedule);
  const T = schedule.timesteps;
  expectStepsWithin('publishedTimesteps', steps, T);
  if (lastTimestep(T, steps) >= T) {
    throw new SamplerError(
      `publishedTimesteps: expected a number of steps whose timesteps end within the schedule, received ${steps}: ` +
        `the last would be ${T}, and the schedule ends at ${T - 1}. ${remedy(T, steps)}`,
      'bad_steps',
    );
  }
  const stride = Math.floor(T / steps);
  const taken = stepsTaken(T, steps);
  return Int32Array.from({ length: taken }, (_, index) => (taken - 1 - index) * stride + 1);
}

/**
 * The noise levels of such a run: those of `publishedTimesteps`, then that of timestep 0, which is not 0: the published run
 * ends with a little noise in its result, at `eta` 1 freshly drawn.
 *
 * Pass them to a sampler with `keepNoise`. The published result is on variance-preserving data: divide the sampler's, which
 * is `x0 + sigma * eps`, by `sqrt(1 + sigma^2)` for the last sigma.
 *
 * @returns Strictly falling numbers, one more than there are timesteps; the last is `schedule.sigmas[0]`.
 * @throws SamplerError as `publishedTimesteps`.
 */
export function publishedSigmas(schedule: Schedule, steps: number): Float64Array {
  const timesteps = publishedTimesteps(schedule, steps);
  return Float64Array.from([...timesteps, 0], (t) => schedule.sigmas[t]!);
}

function stepsTaken(T: number, steps: number): number {
  return Math.ceil(T / Math.floor(T / steps));
}

function lastTimestep(T: number, steps: number): number {
  return (stepsTaken(T, steps) - 1) * Math.floor(T / steps) + 1;
}

/** The nearest step counts on both sides that work, and how many steps they take where that is another number. */
function remedy(T: number, steps: number): string {
  const works = (count: number): boolean => count >= 1 && count <= T && lastTimestep(T, count) < T;
  const beside = [-1, 1].flatMap((side) => {
    let count = steps + side;
    while (count >= 1 && count <= T && !works(count)) count += side;
    return works(count) ? [count] : [];
  });
  if (beside.length === 0) return 'No number works for so short a schedule: use samplingSigmas.';
  const named = beside.map((count) => {
    const taken = stepsTaken(T, count);
    return taken === count ? `${count}` : `${count} (which takes ${taken})`;
  });
  return `Take ${named.join(' or ')}.`;
}

import { betaTimestepSigmas, exponentialSigmas, karrasSigmas, type Schedule } from '@sgdiff/sampler';
import { describe, RequestError } from './errors';
import { sigmasOf, type SpacingName } from './spacings';

type SigmaList = (schedule: Schedule, steps: number) => Float64Array;

/** Lists of noise levels that are not those of whole timesteps: from the highest level of the schedule to its lowest, then 0. */
const LISTS = {
  karras: (schedule, steps) => karrasSigmas(...endsOf(schedule), steps),
  exponential: (schedule, steps) => exponentialSigmas(...endsOf(schedule), steps),
  beta: betaTimestepSigmas,
} satisfies Record<string, SigmaList>;

/** What a request can say of its noise levels; 'schedule' is those of the timesteps that `spacing` chooses. */
export type SigmaListName = 'schedule' | keyof typeof LISTS;
export const SIGMA_LISTS: readonly SigmaListName[] = ['schedule', ...(Object.keys(LISTS) as (keyof typeof LISTS)[])];

/** What records from before there was a choice mean. */
export const DEFAULT_SIGMA_LIST: SigmaListName = 'schedule';

/** @throws RequestError naming the known ones. */
export function requireSigmaList(name: unknown): SigmaListName {
  if ((SIGMA_LISTS as readonly unknown[]).includes(name)) return name as SigmaListName;
  throw new RequestError(`Unknown sigma list ${describe(name)}, expected one of: ${SIGMA_LISTS.join(', ')}.`);
}

/**
 * The noise levels of a run: those of the list, or with 'schedule' those of the timesteps that `spacing` chooses.
 *
 * @throws SamplerError for a number of steps that there is no list of.
 */
export function levelsOf(schedule: Schedule, list: SigmaListName, spacing: SpacingName, steps: number): Float64Array {
  if (list === 'schedule') return sigmasOf(schedule, spacing, steps);
  return LISTS[list](schedule, steps);
}

function endsOf({ sigmas }: Schedule): [sigmaMin: number, sigmaMax: number] {
  return [sigmas[0], sigmas.at(-1)!];
}

import { publishedSigmas, samplingSigmas, type Schedule, type StepSpacing } from '@sgdiff/sampler';
import { describe, RequestError } from './errors';

/** Ways to choose the timesteps of a run that a request can name: those of the sampler package, and the published one. */
export const SPACINGS = ['trailing', 'leading', 'linspace', 'published'] as const satisfies (
  StepSpacing | 'published'
)[];
export type SpacingName = (typeof SPACINGS)[number];

/** What records from before spacings were written mean, and what a model without a default of its own uses. */
export const DEFAULT_SPACING: SpacingName = 'trailing';

/** @throws RequestError naming the known ones. */
export function requireSpacing(name: unknown): SpacingName {
  if ((SPACINGS as readonly unknown[]).includes(name)) return name as SpacingName;
  throw new RequestError(`Unknown spacing ${describe(name)}, expected one of: ${SPACINGS.join(', ')}.`);
}

/**
 * The noise levels of a run. 'published' ends above 0, and takes more steps than asked where published SGDiff does; all
 * others end at 0 and take exactly `steps`.
 *
 * @throws SamplerError for a number of steps that the schedule, or the published code, does not have.
 */
export function sigmasOf(schedule: Schedule, spacing: SpacingName, steps: number): Float64Array {
  return spacing === 'published' ? publishedSigmas(schedule, steps) : samplingSigmas(schedule, steps, { spacing });
}

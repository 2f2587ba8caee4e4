import { describe, RequestError } from './errors';
import { requireSampler, usualEta, type SamplerName } from './samplers';
import { DEFAULT_SIGMA_LIST, requireSigmaList, type SigmaListName } from './sigma-lists';
import { DEFAULT_SPACING, requireSpacing, type SpacingName } from './spacings';

/** The settings of a request, defaults filled in. */
export type RequestSettings = {
  readonly sampler: SamplerName;
  readonly steps: number;
  readonly spacing: SpacingName;
  readonly sigmas: SigmaListName;
  readonly guidanceScale: number;
  readonly eta: number;
};

/** @throws RequestError for the first setting that no model could use. */
export function checkSettings({
  sampler,
  steps,
  spacing,
  sigmas,
  guidanceScale,
  eta,
}: Readonly<Record<keyof RequestSettings, unknown>>): RequestSettings {
  const name = requireSampler(sampler);
  if (!isWhole(steps, 1))
    throw new RequestError(`steps: expected a whole number from 1, received ${describe(steps)}. Leave it out for the model’s own.`);
  const timesteps = requireSpacing(spacing);
  const list = requireSigmaList(sigmas);
  if (list !== DEFAULT_SIGMA_LIST && timesteps !== DEFAULT_SPACING) {
    throw new RequestError(
      `spacing: expected "${DEFAULT_SPACING}" with sigmas "${list}", which stand in its place, received "${timesteps}". Leave one of them out.`,
    );
  }
  if (!isWithin(guidanceScale, 0, Infinity)) {
    throw new RequestError(
      `guidanceScale: expected a number from 0, received ${describe(guidanceScale)}. 1 is without guidance; leave it out for the model’s own.`,
    );
  }
  if (!isWithin(eta, 0, 1))
    throw new RequestError(`eta: expected a number from 0 to 1, received ${describe(eta)}. Leave it out for the model’s own.`);
  if (eta !== 0 && usualEta(name) === undefined) {
    throw new RequestError(
      `eta: expected 0 with sampler "${name}", received ${eta}. Leave eta out, or take sampler "ddim".`,
    );
  }
  return { sampler: name, steps, spacing: timesteps, sigmas: list, guidanceScale, eta };
}

/** @throws RequestError unless it is a whole number from 0 to 2^53 - 1. */
export function requireSeed(seed: unknown): number {
  if (!isWhole(seed, 0))
    throw new RequestError(`seed: expected a whole number from 0 to 2^53 - 1, received ${describe(seed)}.`);
  return seed;
}

function isWhole(value: unknown, from: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= from;
}

function isWithin(value: unknown, from: number, to: number): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= from && value <= to;
}

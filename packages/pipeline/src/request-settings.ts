import { describe, RequestError } from './errors';
import { requireSampler, type SamplerName } from './samplers';
import { requireSpacing, type SpacingName } from './spacings';

/** The settings of a request, defaults filled in. */
export type RequestSettings = {
  readonly sampler: SamplerName;
  readonly steps: number;
  readonly spacing: SpacingName;
  readonly guidanceScale: number;
  readonly eta: number;
};

/** @throws RequestError for the first setting that no model could use. */
export function checkSettings({
  sampler,
  steps,
  spacing,
  guidanceScale,
  eta,
}: Readonly<Record<keyof RequestSettings, unknown>>): RequestSettings {
  const name = requireSampler(sampler);
  if (!isWhole(steps, 1))
    throw new RequestError(`steps: expected a whole number from 1, received ${describe(steps)}. 20 is usual.`);
  const timesteps = requireSpacing(spacing);
  if (!isWithin(guidanceScale, 0, Infinity)) {
    throw new RequestError(
      `guidanceScale: expected a number from 0, received ${describe(guidanceScale)}. 1 is without guidance, 2 is usual.`,
    );
  }
  if (!isWithin(eta, 0, 1))
    throw new RequestError(`eta: expected a number from 0 to 1, received ${describe(eta)}. 0 is usual.`);
  if (eta !== 0 && name !== 'ddim') {
    throw new RequestError(
      `eta: expected 0 with sampler "${name}", received ${eta}. Leave eta out, or take sampler "ddim".`,
    );
  }
  return { sampler: name, steps, spacing: timesteps, guidanceScale, eta };
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

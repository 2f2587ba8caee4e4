import { expectNumber } from './errors';
import type { SampleOptions, Solver } from './solver';

/** What every sampler with fresh noise in its steps takes. */
export type AncestralOptions = SampleOptions & {
  /** How much of the noise is drawn anew: 0 none (deterministic, needs no `noise`), 1, the default, as much as the reverse SDE. */
  readonly eta?: number;
  /** Factor on the fresh noise, default 1. Above 1 it makes up for detail that a network smooths away; 1 keeps the law. */
  readonly sNoise?: number;
};

/**
 * `eta` and `sNoise` with their defaults, checked, and what the solver says it needs noise for.
 *
 * @throws SamplerError unless `eta` is from 0 to `etaMax` and `sNoise` from 0.
 */
export function ancestralOptions(
  name: string,
  { eta = 1, sNoise = 1 }: AncestralOptions,
  etaMax: number,
): { readonly eta: number; readonly sNoise: number; readonly needs: Pick<Solver, 'needsNoise'> } {
  const range = etaMax < Infinity ? `from 0 to ${etaMax}` : 'from 0';
  expectNumber(name, 'eta', eta, (value) => value >= 0 && value <= etaMax && value < Infinity, `a number ${range}`);
  expectNumber(name, 'sNoise', sNoise, (value) => value >= 0 && value < Infinity, 'a number from 0');
  return { eta, sNoise, needs: eta > 0 && sNoise > 0 ? { needsNoise: `eta ${eta}` } : {} };
}

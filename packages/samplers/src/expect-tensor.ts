// Shapes: B batch, then any further axes of the data.
import * as tf from '@tensorflow/tfjs-core';
import type { DenoiserStep } from './denoiser';
import { SamplerError, shown } from './errors';

/** Whether `value` is a live float32 tensor, of this shape if one is given. */
export function isFloats(value: unknown, shape?: readonly number[]): value is tf.Tensor {
  return (
    value instanceof tf.Tensor &&
    !value.isDisposed &&
    value.dtype === 'float32' &&
    (shape === undefined || value.shape.join() === shape.join())
  );
}

/** @throws SamplerError unless `x` is data: a live float32 tensor with an axis for the batch. */
export function expectBatch(where: string, what: string, x: tf.Tensor): void {
  if (isFloats(x) && x.rank > 0) return;
  throw new SamplerError(`${where}: expected ${what} to be a float32 batch [B, …], received ${shown(x)}.`, 'bad_shape');
}

/**
 * What a function of the caller's answered in a step, as it is.
 *
 * @param who What was called, e.g. 'the denoiser'.
 * @param step Undefined where a denoiser is called by hand, without one.
 * @param remedy Put last in the message.
 * @throws SamplerError unless it is float32 of the shape asked for: anything else would be broadcast in silence, or fail elsewhere.
 */
export function expectAnswer<T extends tf.Tensor>(
  where: string,
  who: string,
  answer: T,
  shape: readonly number[],
  sigma: number,
  step: DenoiserStep | undefined,
  remedy = '',
): T {
  if (isFloats(answer, shape)) return answer;
  const isPromise = typeof (answer as { then?: unknown } | undefined)?.then === 'function';
  throw new SamplerError(
    `${where}: expected ${who} to return float32 of shape [${shape}] ${stepName(sigma, step)}, received ${shown(answer)}.` +
      (isPromise ? ' It must not be an async function.' : remedy),
    'bad_shape',
  );
}

/** Where in a run something happens, for messages. */
export function stepName(sigma: number, step: DenoiserStep | undefined): string {
  return step ? `at step ${step.index} of ${step.steps} (sigma ${sigma})` : `at sigma ${sigma}`;
}

/** @throws SamplerError if data that the caller gave holds NaN or infinity. Reads them back. */
export async function expectFiniteData(where: string, what: string, data: tf.Tensor): Promise<void> {
  const bad = firstNonFinite(await data.data());
  if (bad === undefined) return;
  throw new SamplerError(`${where}: expected ${what} to hold finite numbers, received ${bad}.`, 'not_finite');
}

/** The first of the values that is NaN or infinite. */
export function firstNonFinite(values: ArrayLike<number>): number | undefined {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return values[i];
  return undefined;
}

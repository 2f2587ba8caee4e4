/** What went wrong, for programs; the message is for people. */
export type SamplerErrorCode =
  | 'bad_argument'
  | 'bad_steps'
  | 'bad_sigmas'
  | 'bad_shape'
  | 'missing_noise'
  | 'not_finite'
  | 'out_of_range'
  | 'bad_saved_run'
  | 'aborted';

/** Every error of this package. The message says where, what was expected, what came, and what to do. */
export class SamplerError extends Error {
  readonly code: SamplerErrorCode;

  constructor(message: string, code: SamplerErrorCode, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SamplerError';
    this.code = code;
  }
}

/** Thrown when `signal` is aborted. `name` is `AbortError`, as with `fetch`; `cause` is the signal's reason. */
export class SamplingAbortedError extends SamplerError {
  constructor(message: string, reason: unknown) {
    super(message, 'aborted', { cause: reason });
    this.name = 'AbortError';
  }
}

/** A value as a message shows it: a string in quotes, a tensor by its type and shape, any other object by its kind. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (Object(value) !== value) return String(value);
  const { dtype, shape, isDisposed } = value as Record<string, unknown>;
  if (typeof dtype !== 'string') return Object.prototype.toString.call(value);
  return `${isDisposed === true ? 'a disposed tensor, ' : ''}${dtype} of shape [${String(shape)}]`;
}

/** @throws SamplerError unless `value` is one of `allowed`. For callers without types. */
export function expectOneOf<T extends string>(where: string, what: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  const list = allowed.map((a) => `'${a}'`).join(', ');
  throw new SamplerError(`${where}: expected ${what} to be one of ${list}, received ${shown(value)}.`, 'bad_argument');
}

/**
 * @param received Put before the value in the message, where `what` does not say which one it is.
 * @throws SamplerError unless `value` is a number, not a string of one, and `sound`.
 */
export function expectNumber(
  where: string,
  what: string,
  value: number,
  sound: (value: number) => boolean,
  range: string,
  code: SamplerErrorCode = 'bad_argument',
  received = '',
): void {
  if (typeof value === 'number' && sound(value)) return;
  throw new SamplerError(`${where}: expected ${what} to be ${range}, received ${received}${shown(value)}.`, code);
}

/** @throws SamplerError unless `value` is a function. For callers without types, as are the next two. */
export function expectFunction(where: string, what: string, value: unknown, form: string): void {
  if (typeof value === 'function') return;
  throw new SamplerError(
    `${where}: expected ${what} to be a function ${form}, received ${shown(value)}.`,
    'bad_argument',
  );
}

/** @throws SamplerError unless `value` is an array, a typed array or the like. */
export function expectList(where: string, what: string, value: unknown, code: SamplerErrorCode = 'bad_argument'): void {
  if (typeof value === 'object' && typeof (value as { length?: unknown } | null)?.length === 'number') return;
  throw new SamplerError(`${where}: expected ${what} to be a list, received ${shown(value)}.`, code);
}

/** @throws SamplerError unless `value` is an object, e.g. options. */
export function expectObject(where: string, what: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) return;
  throw new SamplerError(`${where}: expected ${what} to be an object, received ${shown(value)}.`, 'bad_argument');
}

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

/** @throws SamplerError unless `value` is one of `allowed`. For callers without types. */
export function expectOneOf<T extends string>(where: string, what: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  const list = allowed.map((a) => `'${a}'`).join(', ');
  throw new SamplerError(
    `${where}: expected ${what} to be one of ${list}, received '${String(value)}'.`,
    'bad_argument',
  );
}

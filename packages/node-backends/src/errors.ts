export type BackendErrorCode = 'unavailable' | 'lost' | 'memory';

/** A backend that does not start (`unavailable`), went away (`lost`) or ran out of memory (`memory`). The message says what to do. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  readonly code: BackendErrorCode;
  constructor(code: BackendErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Of an `Error`, or of what tfjs throws in place of one. */
export function messageOf(error: unknown): string {
  return (error as { message?: string } | null)?.message ?? String(error);
}

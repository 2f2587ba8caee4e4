/** A model folder that cannot be used: which file, what was expected, what came, what to do. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly code: ModelErrorCode;
  /** The file inside the model folder, where one is to blame. */
  readonly file: string | undefined;

  constructor(message: string, options: { code: ModelErrorCode; file?: string; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.file = options.file;
  }
}

export type ModelErrorCode =
  | 'missing_file'
  | 'altered_file'
  | 'invalid_manifest'
  | 'unsupported_format'
  | 'invalid_vocabulary'
  | 'weights_mismatch'
  | 'not_finite';

/** A request (or the record of one) that cannot be carried out. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
}

/** A value from outside as it stands in a message. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

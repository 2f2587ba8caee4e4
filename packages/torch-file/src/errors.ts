/**
 * What went wrong:
 *
 * - `not_torch`: another kind of file; the message says which. `truncated`: it ends too early.
 * - `archive`: a damaged zip (entries that overlap, a wrong checksum, a missing entry). `pickle`: a damaged pickle.
 * - `too_large`: beyond one of the limits. `unsupported`: a form, type or feature that is not read here.
 * - `root`: no map of tensors where one was expected. `tensor`: sizes and strides that cannot be, or a storage too short for
 *   them. `unknown_tensor`: no tensor of that name. `read`: the source failed, see `cause`. `closed`: read after `close()`.
 */
export type TorchFileErrorCode =
  | 'not_torch'
  | 'truncated'
  | 'archive'
  | 'pickle'
  | 'too_large'
  | 'unsupported'
  | 'root'
  | 'tensor'
  | 'unknown_tensor'
  | 'read'
  | 'closed';

export type TorchFileErrorDetails = {
  /** The archive entry concerned, such as `archive/data.pkl`. */
  readonly entry?: string;
  /** The tensor concerned, by its name. */
  readonly tensor?: string;
  readonly cause?: unknown;
};

/** A file that cannot be read. The message says what was expected, what came and what to do. */
export class TorchFileError extends Error {
  override readonly name = 'TorchFileError';
  readonly code: TorchFileErrorCode;
  readonly entry?: string;
  readonly tensor?: string;
  constructor(message: string, code: TorchFileErrorCode, details: TorchFileErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    if (details.entry !== undefined) this.entry = details.entry;
    if (details.tensor !== undefined) this.tensor = details.tensor;
  }
}

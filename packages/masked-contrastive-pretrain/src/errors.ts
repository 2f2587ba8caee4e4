/** What was wrong: the sizes, the batch's lists, or features with non-finite numbers. */
export type PretrainErrorCode = 'invalid_config' | 'invalid_batch' | 'invalid_features';

/** A configuration, a batch or features that pre-training cannot work with. */
export class PretrainError extends Error {
  override readonly name = 'PretrainError';
  readonly code: PretrainErrorCode;

  constructor(message: string, { code }: { readonly code: PretrainErrorCode }) {
    super(message);
    this.code = code;
  }
}

/** What was wrong: with the sizes, with a word index, or with the number of triples. */
export type SgEncoderErrorCode = 'invalid_config' | 'unknown_word' | 'too_many_triples';

/** A configuration or a batch of graphs that the encoder cannot work with. */
export class SgEncoderError extends Error {
  override readonly name = 'SgEncoderError';
  readonly code: SgEncoderErrorCode;

  constructor(message: string, { code }: { readonly code: SgEncoderErrorCode }) {
    super(message);
    this.code = code;
  }
}

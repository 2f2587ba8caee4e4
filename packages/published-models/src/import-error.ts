export type ImportErrorDetails = {
  /**
   * `mismatch`: names or shapes are not the model's; `not_finite`, `overflow`: a weight that cannot be used, or not in half
   * precision; `schedule`: the model was trained on other noise levels.
   */
  readonly code: 'mismatch' | 'not_finite' | 'overflow' | 'schedule';
  /** Names of the file that the model needs and the file lacks. */
  readonly missing?: readonly string[];
  /** Names of the file that the model does not know. */
  readonly unexpected?: readonly string[];
  /** Names with their shapes, e.g. `"out.2.weight" is [4, 128, 3, 3], expected [4, 256, 3, 3]`. */
  readonly misshapen?: readonly string[];
  /** Whether a list is longer than what the message shows of it, its first 20. */
  readonly abridged?: boolean;
};

/** Weights of others that cannot be imported. The lists are complete, the message may be abridged. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
  readonly details: ImportErrorDetails;
  constructor(message: string, details: ImportErrorDetails, options?: ErrorOptions) {
    super(message, options);
    this.details = details;
  }
}

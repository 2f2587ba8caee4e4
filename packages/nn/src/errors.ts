/** A tensor whose shape does not fit. The message says where, what was expected and what came. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

export type CheckpointErrorDetails = {
  /** `mismatch`: names or shapes; `format`: the bytes are not what they should be. */
  readonly code: 'mismatch' | 'format';
  readonly missing?: readonly string[];
  readonly unexpected?: readonly string[];
  readonly misshapen?: readonly string[];
};

/** Weights that cannot be loaded: lists every missing, unexpected and misshapen name at once. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
  readonly details: CheckpointErrorDetails;
  constructor(message: string, details: CheckpointErrorDetails, options?: ErrorOptions) {
    super(message, options);
    this.details = details;
  }
}

/** A weight to which the loss has no connection, or a gradient without a weight. */
export class GradientError extends Error {
  override readonly name = 'GradientError';
  readonly paths: readonly string[];
  constructor(message: string, paths: readonly string[]) {
    super(message);
    this.paths = paths;
  }
}

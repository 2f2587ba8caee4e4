/** A tensor whose shape does not fit. The message says where, what was expected and what came. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

/** Ids that name no row of a table. The message says where, how many rows there are and which id came. */
export class IndexError extends Error {
  override readonly name = 'IndexError';
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

/** A tensor that was disposed before it was used. The message says which input of which operation. */
export class DisposedError extends Error {
  override readonly name = 'DisposedError';
  constructor(where: string, input: string, shape: readonly number[]) {
    super(
      `${where}: expected ${input} [${shape.join(', ')}] to be alive, but it was disposed. ` +
        'Dispose a tensor only after its last use; tf.keep keeps one beyond its tf.tidy.',
    );
  }
}

/** Threads that do not start, or failed in the middle of a kernel. The message says why and what to do. */
export class KernelThreadsError extends Error {
  override readonly name = 'KernelThreadsError';
}

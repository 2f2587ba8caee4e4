/** A failure the user can act on: shown as one message without a stack trace. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}

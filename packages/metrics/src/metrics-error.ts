/** An input of a metric that has no meaning: says where, what was expected, what came, and what to do. */
export class MetricsError extends Error {
  override readonly name = 'MetricsError';
}

import { ImportError } from '@sgdiff/published-models';

/**
 * A failure the user can act on: shown as one message without a stack trace, exit code 1.
 * The message says where, what was expected, what came and what to do.
 */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = options.exitCode ?? 1;
  }
}

/** Errors of our packages, whose message is meant for the user as it is. */
export const USER_ERRORS: ReadonlySet<string> = new Set([
  'AbortError', // SamplingAbortedError
  'AutoencoderConfigError',
  'BackendError',
  'CheckpointError',
  'CliError',
  'CodebookError',
  'DisposedError',
  'GradientError',
  'ImportError',
  'IndexError',
  'KernelThreadsError',
  'LatentStatisticsError',
  'MetricsError',
  'ModelError',
  'PackError',
  'PictureBookError',
  'PretrainError',
  'RequestError',
  'SamplerError',
  'SceneGraphError',
  'SgEncoderError',
  'ShapeError',
  'TorchFileError',
  'UnetConfigError',
  'VocabularyError',
]);

/** What to print for an error, and the exit code of the process. Where it came from is shown only when asked for. */
export function describeError(error: unknown, verbose: boolean): { message: string; exitCode: number } {
  if (!(error instanceof Error)) return { message: String(error), exitCode: 1 };
  const exitCode = error instanceof CliError ? error.exitCode : 1;
  const lists = error instanceof ImportError && error.details.abridged ? namesOf(error) : [];
  if (verbose) return { message: [error.stack ?? error.message, ...lists].join('\n'), exitCode };
  if (lists.length > 0) return { message: `${error.message}\n--verbose lists all names.`, exitCode };
  if (USER_ERRORS.has(error.name)) return { message: error.message, exitCode };
  return { message: `unexpected ${error.name}: ${error.message}\nRepeat with --verbose to see where it came from.`, exitCode };
}

/** Every name that does not fit, a line each. */
function namesOf({ details }: ImportError): string[] {
  return (['missing', 'unexpected', 'misshapen'] as const).flatMap((what) => {
    const names = details[what] ?? [];
    return names.length === 0 ? [] : [`${names.length} ${what}:`, ...names.map((name) => `  ${name}`)];
  });
}

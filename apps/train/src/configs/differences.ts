/** An entry in which two plain JSON values differ. */
export type Difference = {
  /** The keys that lead to it. */
  readonly at: readonly string[];
  readonly was: unknown;
  readonly is: unknown;
};

/** Lines that name every entry in which two plain JSON values differ: `  diffusion.batchSize: was 64, is 32`. */
export function differences(was: unknown, is: unknown, path: string): string[] {
  return findDifferences(was, is).map((difference) => describeDifference(difference, path));
}

/** `  diffusion.batchSize: was 64, is 32`, where `diffusion` is the path of the values compared. */
export function describeDifference({ at, was, is }: Difference, path: string): string {
  return `  ${[path, ...at].join('.')}: was ${textOf(was)}, is ${textOf(is)}`;
}

/** Every entry in which two plain JSON values differ. */
export function findDifferences(was: unknown, is: unknown, at: readonly string[] = []): Difference[] {
  if (isObject(was) && isObject(is)) {
    const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])];
    return keys.flatMap((key) => findDifferences(was[key], is[key], [...at, key]));
  }
  return textOf(was) === textOf(is) ? [] : [{ at, was, is }];
}

function textOf(value: unknown): string {
  return JSON.stringify(value) ?? 'not there';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

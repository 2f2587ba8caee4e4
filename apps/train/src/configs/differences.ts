/** Lines that name every entry in which two plain JSON values differ: `  diffusion.batchSize: was 64, is 32`. */
export function differences(was: unknown, is: unknown, path: string): string[] {
  if (isObject(was) && isObject(is)) {
    const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])];
    return keys.flatMap((key) => differences(was[key], is[key], path ? `${path}.${key}` : key));
  }
  const [before, now] = [JSON.stringify(was), JSON.stringify(is)];
  return before === now ? [] : [`  ${path}: was ${before ?? 'not there'}, is ${now ?? 'not there'}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

import * as tf from '@tensorflow/tfjs-core';

export type NoLeakOptions = {
  /** The function must throw (or reject with) an error whose message contains or matches this. */
  readonly throws?: string | RegExp;
};

/**
 * Checks that a function leaves no tensor behind except those it returns.
 *
 * The returned tensors (in any tree of plain objects and arrays; also anything with `dispose()`) are disposed,
 * then the tensor count must be what it was. If the function throws, the count is checked as well, and then
 * the error is thrown on, so a failed `expect` in the function fails the test. To check the throwing path,
 * say with `throws` which error it ends in. Call it outside of `tf.tidy`.
 *
 * @throws Error with both counts if tensors were left behind, or taken away (`cause`: what the function threw).
 * @throws Error if `throws` is given and the function returns, or throws another error (`cause`).
 * @throws What the function throws, if `throws` is not given.
 */
export async function expectNoLeak(fn: () => unknown, options: NoLeakOptions = {}): Promise<void> {
  const before = tf.memory().numTensors;
  const failure = await failureOf(fn);
  const after = tf.memory().numTensors;
  const outcome = failure ? `threw "${messageOf(failure.error)}"` : 'returned';
  const cause = failure && { cause: failure.error };
  if (after !== before) {
    throw new Error(
      `expectNoLeak: expected ${before} tensors after the function ${outcome}, received ${after}.`,
      cause,
    );
  }
  const { throws } = options;
  if (throws === undefined) {
    if (failure) throw failure.error;
  } else if (!failure || !matches(messageOf(failure.error), throws)) {
    const wanted = typeof throws === 'string' ? `"${throws}"` : String(throws);
    throw new Error(`expectNoLeak: expected the function to throw ${wanted}, but it ${outcome}.`, cause);
  }
}

/** What `fn` throws, in an object because that can be anything, `undefined` too. Disposes what it returns. */
async function failureOf(fn: () => unknown): Promise<{ readonly error: unknown } | undefined> {
  try {
    disposeTree(await fn());
    return undefined;
  } catch (error) {
    return { error };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function matches(message: string, wanted: string | RegExp): boolean {
  return typeof wanted === 'string' ? message.includes(wanted) : message.search(wanted) >= 0; // `test` would move a /g
}

function disposeTree(value: unknown): void {
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return;
  if ('dispose' in value && typeof value.dispose === 'function') {
    value.dispose();
    return;
  }
  // Nothing else is entered: an assertion, as `expect(…)` returns it, leads through all of vitest and back to itself.
  if (Array.isArray(value) || isPlainObject(value)) for (const child of Object.values(value)) disposeTree(child);
}

function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

import type { StartedBackend } from './choice';
import { BackendError } from './errors';

export type Guard = {
  readonly guard: StartedBackend['guard'];
  /** Of several errors the first counts: the others come of it. */
  fail(error: BackendError): void;
};

/** @param recognise What an error means that an operation threw, if it means that the backend has failed. */
export function createGuard(recognise: (error: unknown) => BackendError | undefined): Guard {
  let failed: BackendError | undefined;
  const waiting = new Set<(error: BackendError) => void>();
  return {
    fail(error) {
      failed ??= error;
      for (const reject of waiting) reject(failed);
    },
    async guard(work) {
      if (failed) throw failed;
      let reject!: (error: BackendError) => void;
      // One promise for each call: one for all would hold every result until the end.
      const failure = new Promise<never>((_, no) => (reject = no));
      waiting.add(reject);
      try {
        return await Promise.race([work(), failure]);
      } catch (error) {
        await new Promise((resolve) => setImmediate(resolve)); // an operation may fail before one is told why
        throw failed ?? recognise(error) ?? error;
      } finally {
        waiting.delete(reject);
      }
    },
  };
}

/** Arrays of JS that do not fit, whichever backend they were meant for. */
export function hostMemoryError(name: string, error: unknown): BackendError | undefined {
  if (
    !(error instanceof RangeError) ||
    !/array buffer allocation|typed array length|array buffer length/i.test(error.message)
  )
    return undefined;
  return memoryError(name, error.message, error);
}

export function memoryError(name: string, what: string, cause?: unknown): BackendError {
  return new BackendError('memory', `${name}: out of memory (${what}). Use a smaller batch, or another backend.`, {
    cause,
  });
}

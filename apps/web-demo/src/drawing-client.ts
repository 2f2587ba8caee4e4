// The page's side of protocol.ts: messages as promises.
import {
  WorkerError,
  type DrawRequest,
  type DrawResult,
  type FromWorker,
  type LoadProgress,
  type LoadRequest,
  type Port,
  type ReadyReport,
  type StepProgress,
  type ToWorker,
} from './protocol';

export type DrawOptions = { readonly signal?: AbortSignal; readonly onStep?: (progress: StepProgress) => void };

export type DrawingClient = {
  /** @throws WorkerError if there is no backend or no model. Call it once. */
  load(request: LoadRequest, onProgress: (progress: LoadProgress) => void): Promise<ReadyReport>;
  /**
   * Draws one picture; requests made meanwhile wait for their turn.
   *
   * @throws WorkerError as the pipeline does; a DOMException named `AbortError` when the signal was aborted.
   */
  draw(request: DrawRequest, options?: DrawOptions): Promise<DrawResult>;
  /** Lets everything that is under way fail with the reason: for a worker that broke down. */
  fail(error: Error): void;
};

type Waiting<T> = { resolve(value: T): void; reject(error: Error): void };

/** The drawing service behind a port, as functions. */
export function createDrawingClient(port: Port<ToWorker, FromWorker>): DrawingClient {
  const jobs = new Map<number, Waiting<DrawResult> & { onStep?: (progress: StepProgress) => void }>();
  let loading: (Waiting<ReadyReport> & { onProgress: (progress: LoadProgress) => void }) | undefined;
  let nextJob = 1;
  let broken: Error | undefined;

  port.onmessage = ({ data: message }) => {
    switch (message.type) {
      case 'loading':
        return loading?.onProgress(message.progress);
      case 'ready':
        return loading?.resolve(message.report);
      case 'unavailable':
        return loading?.reject(new WorkerError(message.error));
      case 'step':
        return jobs.get(message.job)?.onStep?.(message.progress);
      case 'picture':
        return take(message.job)?.resolve(message.result);
      case 'cancelled':
        return take(message.job)?.reject(new DOMException('Cancelled.', 'AbortError'));
      case 'failed':
        return take(message.job)?.reject(new WorkerError(message.error));
    }
  };

  function take(job: number): Waiting<DrawResult> | undefined {
    const waiting = jobs.get(job);
    jobs.delete(job);
    return waiting;
  }

  return {
    load: (request, onProgress) =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken);
        loading = { resolve, reject, onProgress };
        port.postMessage({ type: 'load', request });
      }),
    draw: (request, { signal, onStep } = {}) =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken);
        if (signal?.aborted) return reject(new DOMException('Cancelled.', 'AbortError'));
        const job = nextJob++;
        const cancel = (): void => port.postMessage({ type: 'cancel', job });
        const settled =
          <T>(settle: (value: T) => void) =>
          (value: T): void => {
            signal?.removeEventListener('abort', cancel);
            settle(value);
          };
        jobs.set(job, { resolve: settled(resolve), reject: settled(reject), ...(onStep ? { onStep } : {}) });
        signal?.addEventListener('abort', cancel, { once: true });
        port.postMessage({ type: 'draw', job, request });
      }),
    fail(error) {
      broken = error;
      loading?.reject(error);
      for (const job of [...jobs.keys()]) take(job)?.reject(error);
    },
  };
}

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { disposeParams, flattenParams, toVariables } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { startBackend, type BackendName } from '../backend';
import type { PictureBookConfig } from '../configs/config';
import { CliError } from '../errors';
import { messageOf } from '../files';
import { runFolder, type StageName } from '../run-folder';
import { openStage } from '../stages/open-stage';
import { createTerminal } from '../terminal';
import { stageGradients } from './gradients';

// Data-parallel gradients in one process: each worker thread has its own backend with one thread, opens the same stage
// and computes the gradients of its part of every batch. Weights and gradients pass through shared memory. Operations of
// a small network are too short to be split over cores; whole parts of a batch are not.

/** A part of each batch: the `index`-th of `count` equal ones. */
export type BatchPart = { readonly index: number; readonly count: number };

export const WHOLE_BATCH: BatchPart = { index: 0, count: 1 };

/** The items of a batch that belong to a part. */
export function partOf(batch: Int32Array, { index, count }: BatchPart): Int32Array {
  const size = batch.length / count;
  return batch.slice(index * size, (index + 1) * size);
}

export type Workers = {
  /** The part of each batch that is left to the caller. */
  readonly ownPart: BatchPart;
  /** Starts all workers on a step with these weights, which lie in shared memory and must stay as they are until `gradients` is done. */
  begin(step: number, weights: Float32Array): void;
  /** Waits for the step and gives the gradients of each worker's part, in the order of the weights. Valid until the next step. */
  gradients(): Promise<readonly Float32Array[]>;
  stop(): Promise<void>;
};

type WorkerTask = {
  readonly stage: StageName;
  readonly config: PictureBookConfig;
  readonly run: string;
  readonly backend: BackendName;
  readonly part: BatchPart;
};

type ToWorker = { readonly step: number; readonly weights: SharedArrayBuffer; readonly gradients: SharedArrayBuffer };
type FromWorker = { readonly ready: true } | { readonly step: number } | { readonly error: string };

/** Starts `count` workers beside this thread and waits until all are ready. */
export async function startWorkers(task: Omit<WorkerTask, 'part'> & { readonly count: number }): Promise<Workers> {
  const { count, ...rest } = task;
  const parts = count + 1;
  const workers = Array.from({ length: count }, (_, i) => {
    const data: WorkerTask = { ...rest, part: { index: i + 1, count: parts } };
    return new Worker(new URL(import.meta.url), { workerData: data });
  });
  const replies = workers.map((worker) => replyOf(worker));
  await Promise.all(replies);
  let gradients: SharedArrayBuffer[] = [];
  let pending: Promise<unknown> = Promise.resolve();
  return {
    ownPart: { index: 0, count: parts },
    begin(step, weights) {
      if (gradients.length === 0) gradients = workers.map(() => new SharedArrayBuffer(weights.byteLength));
      pending = Promise.all(
        workers.map((worker, i) => {
          const reply = replyOf(worker);
          worker.postMessage({ step, weights: weights.buffer as SharedArrayBuffer, gradients: gradients[i] } satisfies ToWorker);
          return reply;
        }),
      );
      pending.catch(() => undefined); // reported by gradients
    },
    async gradients() {
      await pending;
      return gradients.map((buffer) => new Float32Array(buffer));
    },
    async stop() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** Values of tensors one after the other. */
export async function writeFlat(tensors: readonly tf.Tensor[], out: Float32Array): Promise<void> {
  let at = 0;
  for (const tensor of tensors) {
    out.set((await tensor.data()) as Float32Array, at);
    at += tensor.size;
  }
}

/** What `writeFlat` wrote, into variables. */
export function assignFlat(variables: readonly tf.Variable[], flat: Float32Array): void {
  let at = 0;
  for (const variable of variables) {
    const values = flat.slice(at, at + variable.size);
    tf.tidy(() => variable.assign(tf.tensor(values, variable.shape)));
    at += variable.size;
  }
}

/** The worker's next message; an error or its end rejects. */
function replyOf(worker: Worker): Promise<FromWorker> {
  return new Promise((resolve, reject) => {
    const clean = (): void => {
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
    };
    const onMessage = (message: FromWorker): void => {
      clean();
      if ('error' in message) reject(new CliError(`A training worker failed: ${message.error}`));
      else resolve(message);
    };
    const onError = (error: Error): void => {
      clean();
      reject(new CliError(`A training worker failed: ${messageOf(error)}`, { cause: error }));
    };
    const onExit = (code: number): void => {
      clean();
      reject(new CliError(`A training worker ended with exit code ${code}.`));
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
  });
}

/** Whether this thread is a training worker (and not the command itself). */
export function isTrainingWorker(): boolean {
  return !isMainThread && (workerData as Partial<WorkerTask> | null)?.part !== undefined;
}

/** What a worker thread does until it is stopped. */
export async function serveAsWorker(): Promise<void> {
  const { stage: name, config, run, backend, part } = workerData as WorkerTask;
  const port = parentPort;
  if (!port) throw new Error('serveAsWorker: this is not a worker thread.');
  const send = (message: FromWorker): void => port.postMessage(message);
  try {
    await startBackend({ backend, threads: 1 });
    const { stage } = await openStage(name, config, runFolder(run), createTerminal({ json: true }));
    const fresh = stage.init();
    const params = toVariables(fresh);
    disposeParams(fresh);
    const entries = flattenParams(params);
    port.on('message', ({ step, weights, gradients }: ToWorker) => {
      void (async () => {
        try {
          await stage.prepare?.(step, part);
          assignFlat(entries.map(({ tensor }) => tensor as tf.Variable), new Float32Array(weights));
          const { loss, terms, grads } = stageGradients(stage, params, step, part);
          await writeFlat(entries.map(({ path }) => grads[path]), new Float32Array(gradients));
          tf.dispose([loss, { ...terms }, grads]);
          send({ step });
        } catch (error) {
          send({ error: messageOf(error) });
        }
      })();
    });
    send({ ready: true });
  } catch (error) {
    send({ error: messageOf(error) });
  }
}

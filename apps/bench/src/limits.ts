import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

/** What the cores in use can do at most together. */
export type Limits = {
  /** Multiplications and additions of 128-bit WebAssembly SIMD, GFLOP/s. */
  readonly gflops: number;
  /** Memory read and written, GB/s. */
  readonly gigabytesPerSecond: number;
};

/** Measures so many cores at the same time, as they share memory and clock. */
export async function measureLimits(threads: number): Promise<Limits> {
  const workers = Array.from({ length: threads }, () => new Worker(new URL('./limits-worker.js', import.meta.url)));
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const answers = workers.map((worker) => once(worker, 'message'));
    for (const worker of workers) worker.postMessage('start');
    const each = (await Promise.all(answers)).map(([limits]) => limits as Limits);
    return {
      gflops: each.reduce((sum, { gflops }) => sum + gflops, 0),
      gigabytesPerSecond: each.reduce((sum, { gigabytesPerSecond }) => sum + gigabytesPerSecond, 0),
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

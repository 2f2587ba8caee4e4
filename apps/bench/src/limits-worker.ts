import { parentPort } from 'node:worker_threads';
import type { Limits } from './limits';

/** Compiled from kernels/limits.ts by the build. */
declare const LIMITS_WASM: string;

type LimitKernels = {
  multiplyAdd(rounds: number): number;
  copy(from: number, to: number, bytes: number): void;
  reserve(bytes: number): number;
};

const FLOPS_PER_ROUND = 96;
const ROUNDS = 2_000_000;
/** Past every cache. */
const COPY_BYTES = 128 * 2 ** 20;
const REPEATS = 7;

const kernels = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(LIMITS_WASM, 'base64'))).exports as LimitKernels;
if (kernels.reserve(2 * COPY_BYTES) !== 0) throw new Error('not enough memory to measure its bandwidth');

parentPort!.on('message', () => {
  const limits: Limits = {
    gflops: (FLOPS_PER_ROUND * ROUNDS) / fastest(() => kernels.multiplyAdd(ROUNDS)) / 1e6,
    gigabytesPerSecond: (2 * COPY_BYTES) / fastest(() => kernels.copy(0, COPY_BYTES, COPY_BYTES)) / 1e6,
  };
  parentPort!.postMessage(limits);
});
parentPort!.postMessage('ready');

/** Milliseconds of the fastest run. */
function fastest(run: () => void): number {
  let best = Infinity;
  for (let i = 0; i <= REPEATS; i++) {
    const begun = performance.now();
    run();
    if (i > 0) best = Math.min(best, performance.now() - begun);
  }
  return best;
}

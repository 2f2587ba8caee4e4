// A pool of threads for our kernels on the shared memory of the wasm backend. The thread that calls takes part in the work.
import { KernelThreadsError } from '../errors';
import { type WasmBackend, wasmBackend, withScratch } from './backend';
import type { KernelName } from './binary';
import { kernelModule, memoryOf, simdKernels } from './module';
import { CONTROL, type PoolWorker, spawn } from './thread-worker';

/** Where the numbers of the job begin, in bytes: scratch memory, its size per thread, arguments of the kernel. */
const NUMBERS_AT = 64;
const MAX_ARGUMENTS = 32;
/** Ranges per thread: enough that one which is held up leaves its share to the others. */
const RANGES_PER_THREAD = 4;
/** Floating-point operations of a range: some 10 µs. */
const SMALLEST_WORK = 200_000;
/** Each thread takes some 10 MB. */
const MAX_THREADS = 128;
const FINISH_LIMIT_MS = 60_000;

export type KernelThreads = {
  /** Threads that take part, the calling one included. */
  readonly threads: number;
  /** Ends them; kernels go on with the calling thread alone. */
  dispose(): Promise<void>;
};

export type RangeOptions = {
  /** Items of the work. */
  readonly total: number;
  /** Items that are done in one go; by default a quarter of a thread's share. */
  readonly grain?: number;
  /** Ranges begin at multiples of this. */
  readonly rangesStartAt?: number;
  /** Floating-point operations of an item, roughly: a range is not made smaller than is worth a thread. */
  readonly itemWork?: number;
  /** Scratch memory that each thread needs. */
  readonly scratchBytes?: number;
};

type Pool = {
  readonly workers: readonly PoolWorker[];
  readonly control: Int32Array;
  readonly numbers: Float64Array;
  readonly names: readonly string[];
};

const pools = new WeakMap<object, Pool>();

/**
 * Lets the kernels of this package run on several threads. Needs the wasm backend on a shared memory: tfjs' threaded
 * build, in a page that is cross-origin isolated or in Node. The threads do not keep a process alive.
 *
 * @param threads How many, the calling one included: a whole number from 1 to 128.
 * @returns The pool. It ends with the backend, and when threads are started again.
 * @throws KernelThreadsError with the reason if there can be no threads; kernels go on with one.
 */
export async function startKernelThreads(threads: number): Promise<KernelThreads> {
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw new RangeError(`startKernelThreads: expected a whole number of threads from 1 to ${MAX_THREADS}, received ${threads}.`);
  }
  const backend = wasmBackend();
  const kernels = simdKernels();
  if (!backend || !kernels) throw unavailable('the running backend is not wasm with SIMD');
  const { wasm } = backend;
  await endPool(wasm);
  if (threads > 1) {
    const memory = memoryOf(wasm);
    if (typeof SharedArrayBuffer === 'undefined' || !(memory?.buffer instanceof SharedArrayBuffer)) {
      throw unavailable('the memory of the wasm backend is not shared (a page must be cross-origin isolated)');
    }
    const pool = await startPool(threads - 1, memory, Object.keys(kernels));
    void endPool(wasm); // one that another call started meanwhile
    pools.set(wasm, pool);
    endWith(backend);
  }
  const pool = pools.get(wasm);
  return { threads, dispose: async () => (pools.get(wasm) === pool ? endPool(wasm) : undefined) };
}

/** Threads that the kernels of this package run on with the present backend. */
export function kernelThreads(): number {
  const backend = wasmBackend();
  return backend ? threadsOf(backend) : 1;
}

/**
 * Runs `kernels[kernel](...args, scratch, from, to)` for ranges that make up `0 … total`, on all threads there are.
 *
 * @throws KernelThreadsError if a thread failed; the output is then not whole.
 */
export function runRanges(backend: WasmBackend, kernel: KernelName, args: readonly number[], options: RangeOptions): void {
  const { total, scratchBytes = 0 } = options;
  if (total <= 0) return;
  const pool = pools.get(backend.wasm);
  const threads = threadsOf(backend);
  const share = Math.ceil(total / (threads * RANGES_PER_THREAD));
  const worthwhile = options.itemWork ? Math.ceil(SMALLEST_WORK / options.itemWork) : 1;
  const unit = options.rangesStartAt ?? 1;
  const grain = options.grain ?? Math.ceil(Math.max(share, worthwhile) / unit) * unit;
  const each = (scratchBytes + 63) & ~63;
  const run = (scratch: number): void => {
    if (pool && total > grain) runOnPool(pool, backend, kernel, [...args], total, grain, scratch, each);
    else simdKernels()![kernel]!(...args, scratch, 0, total);
  };
  if (each === 0) run(0);
  else withScratch(backend, pool && total > grain ? each * threads : each, run);
}

function threadsOf({ wasm }: WasmBackend): number {
  return (pools.get(wasm)?.workers.length ?? 0) + 1;
}

function runOnPool(
  { control, numbers, names }: Pool,
  backend: WasmBackend,
  kernel: KernelName,
  args: readonly number[],
  total: number,
  grain: number,
  scratch: number,
  scratchEach: number,
): void {
  // Nobody reads these: no thread is within a job (`joined` was 0 when the last one ended, and it is not open).
  numbers[0] = scratch;
  numbers[1] = scratchEach;
  numbers.set(args, 2);
  control[CONTROL.kernel] = names.indexOf(kernel);
  control[CONTROL.count] = args.length;
  control[CONTROL.total] = total;
  control[CONTROL.grain] = grain;
  Atomics.store(control, CONTROL.failed, 0);
  Atomics.store(control, CONTROL.next, 0);
  Atomics.store(control, CONTROL.open, 1);
  Atomics.add(control, CONTROL.wake, 1);
  Atomics.notify(control, CONTROL.wake);
  const run = simdKernels()![kernel]!;
  let answered = true;
  try {
    for (;;) {
      const from = Atomics.add(control, CONTROL.next, 1) * grain;
      if (from >= total) break;
      run(...args, scratch, from, Math.min(total, from + grain));
    }
  } finally {
    Atomics.store(control, CONTROL.open, 0);
    answered = othersLeft(control);
  }
  if (answered && Atomics.load(control, CONTROL.failed) === 0) return;
  void endPool(backend.wasm);
  throw new KernelThreadsError(
    `A thread of the wasm kernels ${answered ? 'failed' : 'did not answer'} in "${kernel}"; its result is not whole. ` +
      'The threads are switched off: repeat the step, or start with one thread.',
  );
}

/** Waits until no other thread is within the job; false if that takes longer than anything would. */
function othersLeft(control: Int32Array): boolean {
  let limit = 0;
  for (let spins = 1; Atomics.load(control, CONTROL.joined) !== 0; spins++) {
    if (spins % 1_000_000 !== 0) continue;
    const now = Date.now();
    limit ||= now + FINISH_LIMIT_MS;
    if (now > limit) return false;
  }
  return true;
}

async function startPool(count: number, memory: WebAssembly.Memory, names: readonly string[]): Promise<Pool> {
  const block = new SharedArrayBuffer(NUMBERS_AT + (2 + MAX_ARGUMENTS) * 8);
  const control = new Int32Array(block, 0, NUMBERS_AT / 4);
  const workers: PoolWorker[] = [];
  try {
    for (let slot = 1; slot <= count; slot++) workers.push(spawn());
    await Promise.all(
      workers.map((worker, i) => {
        worker.post({ module: kernelModule(memory), memory, block, numbersAt: NUMBERS_AT, names, slot: i + 1 });
        return worker.ready;
      }),
    );
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.end()));
    throw unavailable(`a worker did not start: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  return { workers, control, numbers: new Float64Array(block, NUMBERS_AT), names };
}

const ending = new WeakSet<object>();

/** Ends the threads when tfjs disposes the backend. */
function endWith(backend: WasmBackend): void {
  const { wasm } = backend;
  if (ending.has(wasm)) return;
  ending.add(wasm);
  const dispose = backend.dispose.bind(backend);
  backend.dispose = () => {
    void endPool(wasm);
    dispose();
  };
}

async function endPool(wasm: object): Promise<void> {
  const pool = pools.get(wasm);
  pools.delete(wasm);
  await Promise.all(pool?.workers.map((worker) => worker.end()) ?? []);
}

function unavailable(reason: string, cause?: unknown): KernelThreadsError {
  return new KernelThreadsError(`startKernelThreads: no threads, because ${reason}. Kernels run on one thread.`, {
    cause,
  });
}

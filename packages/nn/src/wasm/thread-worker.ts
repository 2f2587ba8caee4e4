// One thread of the pool: a worker of Node or of the web, started from text, so that no bundler has to know of it.

/** What Node's and the web's workers have in common. */
export type PoolWorker = {
  post(message: unknown): void;
  /** Fulfilled when the worker waits for work. */
  readonly ready: Promise<void>;
  end(): Promise<void>;
};

/** Words of the control block that threads.ts shares with its workers. */
export const CONTROL = { open: 0, joined: 1, next: 2, wake: 3, failed: 4, kernel: 5, count: 6, total: 7, grain: 8 } as const;

type NodeWorker = {
  postMessage(message: unknown): void;
  once(event: 'message' | 'error', listener: (value: unknown) => void): void;
  unref(): void;
  terminate(): Promise<number>;
};
type NodeProcess = { getBuiltinModule?(name: string): { Worker: new (source: string, options: object) => NodeWorker } };

const START_LIMIT_MS = 10_000;
/** How often a thread looks for work before it sleeps: some 100 µs. To be woken takes longer than many a kernel. */
const LOOKS = 20_000;

/**
 * The worker's program. Its message brings kernels, memory and the control block of threads.ts; from then on it waits on
 * the word `wake`, joins the job that is open, takes ranges until none is left, and leaves.
 */
const SOURCE = `
const port = typeof require === 'function' ? require('node:worker_threads').parentPort : self;
port.onmessage = ({ data }) => {
  const { module, memory, block, numbersAt, names, slot } = data;
  const kernels = new WebAssembly.Instance(module, { env: { memory } }).exports;
  const control = new Int32Array(block, 0, numbersAt / 4);
  const numbers = new Float64Array(block, numbersAt);
  const { open, joined, next, wake, failed, kernel, count, total, grain } = ${JSON.stringify(CONTROL)};
  const work = () => {
    const run = kernels[names[control[kernel]]];
    const scratch = numbers[0] + slot * numbers[1];
    const args = numbers.slice(2, 2 + control[count]);
    const step = control[grain];
    const end = control[total];
    for (;;) {
      const from = Atomics.add(control, next, 1) * step;
      if (from >= end) return;
      run(...args, scratch, from, Math.min(end, from + step));
    }
  };
  let seen = 0;
  port.postMessage('ready');
  for (;;) {
    for (let look = 0; look < ${LOOKS} && Atomics.load(control, wake) === seen; look++);
    Atomics.wait(control, wake, seen);
    seen = Atomics.load(control, wake);
    Atomics.add(control, joined, 1);
    try {
      if (Atomics.load(control, open) !== 0) work();
    } catch {
      Atomics.store(control, failed, 1);
    }
    Atomics.sub(control, joined, 1);
  }
};
`;

/** Starts a worker. Throws where there are none. */
export function spawn(): PoolWorker {
  const node = (globalThis as { process?: NodeProcess }).process?.getBuiltinModule?.('node:worker_threads');
  return node ? spawnInNode(node.Worker) : spawnInPage();
}

function spawnInNode(Worker: new (source: string, options: object) => NodeWorker): PoolWorker {
  const worker = new Worker(SOURCE, { eval: true, stdin: false, execArgv: [], name: 'sgdiff-kernels' });
  worker.unref(); // an idle thread keeps no process alive
  return {
    post: (message) => worker.postMessage(message),
    ready: answered((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    }),
    end: async () => void (await worker.terminate()),
  };
}

function spawnInPage(): PoolWorker {
  const url = URL.createObjectURL(new Blob([SOURCE], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'sgdiff-kernels' });
  return {
    post: (message) => worker.postMessage(message),
    ready: answered((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = (event) => reject(new Error(event.message || 'the page forbids workers made from text'));
    }).finally(() => URL.revokeObjectURL(url)),
    end: async () => worker.terminate(),
  };
}

/** A promise that also fails when nothing happens. */
function answered(listen: (resolve: () => void, reject: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('it did not answer in time')), START_LIMIT_MS);
    listen(
      () => (clearTimeout(timer), resolve()),
      (error) => (clearTimeout(timer), reject(error)),
    );
  });
}

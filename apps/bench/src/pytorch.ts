import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { PyTorchTask } from './bench-case';
import { BenchError } from './errors';
import type { Contestant } from './measure';

export type PyTorch = {
  readonly version: string;
  /** Prepares a task, which replaces the one before it. */
  make(task: PyTorchTask): Promise<Contestant>;
  stop(): void;
};

/**
 * Starts pytorch/serve.py, which times PyTorch on the CPU when it is asked to: one JSON object per line to and fro.
 *
 * @throws BenchError if that Python does not start or has no torch.
 */
export async function startPyTorch(python: string, threads: number): Promise<PyTorch> {
  const script = fileURLToPath(new URL('../pytorch/serve.py', import.meta.url));
  const child = spawn(python, ['-u', script, String(threads)], { stdio: ['pipe', 'pipe', 'pipe'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
  const failed = new Promise<never>((_, reject) => {
    child.on('error', (error) => reject(new BenchError(`--python ${python}: ${error.message}. Give the path of a Python with torch.`)));
    child.on('close', (code) => {
      const why = complaint.trim().split('\n').pop() ?? '';
      reject(new BenchError(`--python ${python}: it ended with exit code ${String(code)}. ${why}`));
    });
  });
  failed.catch(() => undefined); // reported by whoever waits for an answer
  const answer = async (): Promise<Record<string, unknown>> => {
    const line = await Promise.race([answers.next(), failed]);
    // At the end of the stream what went wrong is known when the process is closed.
    return line.done ? failed : (JSON.parse(line.value) as Record<string, unknown>);
  };
  const ask = (request: unknown): Promise<Record<string, unknown>> => {
    child.stdin.write(`${JSON.stringify(request)}\n`, () => undefined);
    return answer();
  };
  child.stdin.on('error', () => undefined); // `failed` says more
  const { torch } = await answer();
  return {
    version: String(torch),
    async make(task) {
      await ask(task);
      return async (repeats) => Number((await ask({ run: repeats }))['ms']);
    },
    stop: () => child.stdin.end(),
  };
}

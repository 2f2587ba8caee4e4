import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { contractCases, runContract, type ContractReport } from '@sgdiff/nn/contract';
import { BACKENDS, startBackend, type AskedBackend, type BackendChoice, type BackendName } from '../backend';
import { CliError } from '../errors';
import { messageOf } from '../files';
import { formatDuration, type Terminal } from '../terminal';

export type BackendContract = {
  readonly backend: BackendName;
  /** Asked for; null where none were. */
  readonly threads: number | null;
  readonly status: 'passed' | 'failed' | 'unavailable';
  /** What computed and what one should know about it, or why nothing ran. */
  readonly reason: string;
  readonly seconds: number;
  /** Null where nothing ran to its end. */
  readonly report: Pick<ContractReport, 'cases' | 'checks' | 'failures' | 'ops'> | null;
};

/** What the process of one backend prints, a line each: that it came up, how far it is, the report. */
type Message =
  | { readonly started: string }
  | { readonly unavailable: string }
  | { readonly done: number }
  | { readonly failed: string }
  | { readonly report: ContractReport };

/** Failures that are listed for people, for each backend. */
const MOST_SHOWN = 20;

const LIMIT_MS = 30 * 60_000;

/**
 * Runs the contract of the operations on each backend that is here, each in a process of its own, and says what ran.
 * The exit code is 1 if anything failed, or if the backend asked for is not there.
 *
 * @param command The script that is `sgdiff`, which each process runs.
 * @throws CliError for a backend that is unknown.
 */
export async function contract(request: AskedBackend, terminal: Terminal, command = process.argv[1]): Promise<void> {
  const backends: BackendContract[] = [];
  for (const target of targets(request)) backends.push(await runInProcess(command, target, terminal));
  for (const result of backends) for (const line of describe(result)) terminal.say(line);
  const passed = backends.every(
    ({ status }) => status === 'passed' || (status === 'unavailable' && request.backend === undefined),
  );
  terminal.result({ passed, backends });
  if (!passed) process.exitCode = 1;
}

/** The process of one backend. */
export async function probeContract(request: AskedBackend): Promise<void> {
  const send = (message: Message): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
  let choice: BackendChoice;
  try {
    choice = await startBackend(request);
  } catch (error) {
    send({ unavailable: messageOf((error as Error).cause ?? error) });
    return;
  }
  const { threads, adapter, remark, guard } = choice;
  if (request.threads !== undefined && threads !== request.threads) {
    send({
      unavailable: `${request.threads} threads were asked for, there ${threads === 1 ? 'is' : 'are'} ${threads}; ${remark ?? ''}`,
    });
    return;
  }
  send({ started: [adapter, remark].filter((text) => text !== undefined).join('; ') });
  let done = 0;
  try {
    send({ report: await guard(() => runContract({ onCase: () => send({ done: ++done }) })) });
  } catch (error) {
    send({ failed: messageOf(error) });
  }
}

type Target = {
  readonly backend: BackendName;
  readonly threads?: number | undefined;
  readonly adapter?: string | undefined;
};

/** All backends, or the one asked for; wasm once with one thread and once with several unless the number is given. */
function targets({ backend, threads, adapter }: AskedBackend): Target[] {
  if (backend !== undefined && !isBackend(backend)) {
    throw new CliError(`Unknown backend "${backend}", expected one of: ${BACKENDS.join(', ')}.`);
  }
  const counts = threads === undefined ? [1, Math.max(2, availableParallelism())] : [threads];
  // The one asked for says itself what it cannot be.
  if (backend === 'wasm') return counts.map((count) => ({ backend, threads: count, adapter }));
  if (backend !== undefined) return [{ backend, threads, adapter }];
  return [
    { backend: 'tensorflow', threads },
    { backend: 'webgpu', adapter },
    ...counts.map((count): Target => ({ backend: 'wasm', threads: count })),
    { backend: 'cpu' },
  ];
}

function isBackend(name: string): name is BackendName {
  return (BACKENDS as readonly string[]).includes(name);
}

async function runInProcess(
  command: string,
  { backend, threads, adapter }: Target,
  terminal: Terminal,
): Promise<BackendContract> {
  const begun = performance.now();
  const options = [
    threads === undefined ? [] : ['--threads', String(threads)],
    adapter === undefined ? [] : ['--adapter', adapter],
  ];
  const args = ['doctor', '--contract', '--probe', backend, ...options.flat()];
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'ignore'], timeout: LIMIT_MS });
  const closed = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? `exit code ${String(code)}`));
  });
  const progress = terminal.progress(nameOf(backend, threads ?? null), contractCases.length);
  let started: string | undefined;
  let problem: string | undefined;
  let report: ContractReport | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('{')) continue; // native add-ons print as they like
    const message = JSON.parse(line) as Message;
    if ('started' in message) started = message.started;
    else if ('unavailable' in message) problem = message.unavailable;
    else if ('failed' in message) problem = message.failed;
    else if ('report' in message) report = message.report;
    else progress.update(message.done);
  }
  progress.stop();
  const end = await closed;
  const common = { backend, threads: threads ?? null, seconds: (performance.now() - begun) / 1000 };
  if (report) {
    const { cases, checks, failures, ops } = report;
    const status = failures.length === 0 ? 'passed' : 'failed';
    return { ...common, status, reason: started ?? '', report: { cases, checks, failures, ops } };
  }
  const status = started === undefined ? 'unavailable' : 'failed';
  const reason = problem ?? `its process ended with ${end} before the last case`;
  return { ...common, status, reason: reason.replace(`${backend}: `, ''), report: null };
}

function describe({ backend, threads, status, reason, seconds, report }: BackendContract): string[] {
  const mark = { passed: '✓', failed: '✗', unavailable: '·' }[status];
  const label = `  ${mark} ${nameOf(backend, threads).padEnd(17)}`;
  if (!report) return [`${label} ${status === 'failed' ? 'failed' : 'not available'}: ${reason}`];
  const { checks, failures, ops } = report;
  const counts = `${checks - failures.length} passed, ${failures.length} failed`;
  // JSON has no infinity: there it is null.
  const largest = (key: 'valueError' | 'gradientError'): string =>
    Math.max(...ops.map((op) => op[key] ?? Infinity)).toExponential(1);
  return [
    `${label} ${counts}; largest error ${largest('valueError')} (values), ${largest('gradientError')} (gradients); ${formatDuration(seconds)}${reason && `; ${reason}`}`,
    ...failures
      .slice(0, MOST_SHOWN)
      .map(
        ({ op, case: name, what, expected, received }) =>
          `      ${op}, ${name}: ${what}: expected ${expected}, received ${received}`,
      ),
    ...(failures.length > MOST_SHOWN ? [`      … and ${failures.length - MOST_SHOWN} more; --json has them all`] : []),
  ];
}

function nameOf(backend: BackendName, threads: number | null): string {
  if (threads === null) return backend;
  return `${backend}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}

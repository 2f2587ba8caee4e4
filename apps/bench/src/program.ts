import { fork, type ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { BACKENDS } from './backend';
import { BenchError } from './errors';
import type { BenchResult, DrawingResult, MemoryResult } from './result';
import { selectCases, type SessionMessage, type SessionRequest } from './session';
import { drawingTable, memoryTable, resultTable, toMarkdown, toText } from './table';

/** Backends that compute with as many threads as they are told. */
const THREADED: ReadonlySet<string> = new Set(['wasm', 'tensorflow']);
const MEMORY_STEPS = 1000;
const DRAWING_STEPS = 6;

type Options = {
  readonly backend: string;
  readonly threads?: number[];
  readonly only?: string;
  readonly part?: 'nn' | 'model';
  readonly rounds: number;
  readonly python?: string;
  readonly json?: string;
  readonly markdown?: boolean;
  readonly memory?: true | number;
  readonly model?: string;
  readonly steps: number;
  readonly tiny?: boolean;
};

/** The benchmark with its options. `code` is the exit code when it is done. */
export function buildProgram(finish: (code: number) => void): Command {
  return new Command('bench')
    .description('Time the operations of @sgdiff/nn and whole steps of the U-Net against plain tfjs and PyTorch, in turns.')
    .addOption(new Option('--backend <name>', 'what computes').choices([...BACKENDS]).default('wasm'))
    .option('--threads <counts>', 'threads, e.g. 1,2; one and all cores unless given', counts)
    .option('--only <pattern>', 'operations whose names match this regular expression', expression)
    .addOption(new Option('--part <part>', 'operations of nn, or whole steps of the model').choices(['nn', 'model']))
    .option('--rounds <count>', 'turns of each side, fewer for what is slow; the median counts', count, 11)
    .addOption(new Option('--python <path>', 'a Python with torch: compare with PyTorch on the CPU').env('SGDIFF_PYTHON'))
    .option('--json <file>', 'write the results there')
    .option('--markdown', 'print the table as Markdown')
    .option('--memory [steps]', `train so many steps (${MEMORY_STEPS}) instead and report memory`, count)
    .addOption(
      new Option('--model <folder>', 'load this model and draw a picture with it instead').conflicts(['memory', 'only', 'part', 'python']),
    )
    .option('--steps <count>', 'with --model: network calls, from 2', count, DRAWING_STEPS)
    .addOption(new Option('--tiny', 'small sizes, for tests').hideHelp())
    .showHelpAfterError('(--help shows what is possible)')
    .action(async (options: Options) => finish(await bench(options)));
}

async function bench(options: Options): Promise<number> {
  const { backend, only, part, rounds, python, json, memory, model, steps, tiny = false } = options;
  if (model !== undefined && steps < 2) throw new BenchError(`--steps ${steps}: expected 2 or more, since the first is not counted.`);
  if (memory === undefined && model === undefined && selectCases({ only, part, tiny }).length === 0) {
    throw new BenchError(`--only ${only ?? ''}: no operation has such a name.`);
  }
  const cores = availableParallelism();
  const threads = THREADED.has(backend) ? (options.threads ?? [...new Set([1, cores])]) : [1];
  const results: BenchResult[] = [];
  const states: MemoryResult[] = [];
  const drawings: DrawingResult[] = [];
  const failures: string[] = [];
  for (const each of threads) {
    const request: SessionRequest = {
      backend,
      threads: each,
      rounds,
      tiny,
      ...(only === undefined ? {} : { only }),
      ...(part === undefined ? {} : { part }),
      ...(python === undefined ? {} : { python: python.includes('/') ? userPath(python) : python }),
      ...(memory === undefined ? {} : { memorySteps: memory === true ? MEMORY_STEPS : memory }),
      ...(model === undefined ? {} : { drawing: { model: userPath(model), steps } }),
    };
    await runInProcess(request, (message) => {
      if ('result' in message) results.push(message.result);
      else if ('memory' in message) states.push(message.memory);
      else if ('drawing' in message) drawings.push(message.drawing);
      else if ('note' in message) process.stderr.write(`${message.note}\n`);
      else failures.push(message.failure);
    });
  }
  const table = model !== undefined ? drawingTable(drawings) : memory !== undefined ? memoryTable(states) : resultTable(results);
  if (table.rows.length > 0) process.stdout.write(`${(options.markdown ? toMarkdown : toText)(table)}\n`);
  for (const line of remarks(results)) process.stdout.write(`${line}\n`);
  if (json !== undefined) writeJson(userPath(json), [...results, ...states, ...drawings]);
  if (failures.length > 0) throw new BenchError(failures.join('\n'));
  return 0;
}

/** What the column of tfjs is. */
function remarks(results: readonly BenchResult[]): string[] {
  const ops = new Map<string, Set<string>>();
  for (const { op, baseline } of results) ops.set(baseline, (ops.get(baseline) ?? new Set()).add(op));
  const lines = [...ops].map(([baseline, names]) => `tfjs, ${[...names].join(', ')}: ${baseline}.`);
  const threaded = results.some(({ backend, threads }) => backend === 'wasm' && threads > 1);
  return threaded ? [...lines, "tfjs' own operations on wasm use one thread here, whatever the number."] : lines;
}

/** A backend cannot be started twice with other threads, and may take its process down: each session has one of its own. */
async function runInProcess(request: SessionRequest, onMessage: (message: SessionMessage) => void): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ['--session', JSON.stringify(request)], {
    stdio: ['ignore', 2, 'inherit', 'ipc'],
  });
  const forward = (signal: NodeJS.Signals): void => stopAll(child, signal);
  process.on('SIGINT', forward).on('SIGTERM', forward);
  child.on('message', onMessage);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done, reject) => {
    child.on('error', reject);
    child.on('close', (...end) => done(end));
  });
  process.off('SIGINT', forward).off('SIGTERM', forward);
  if (code !== 0) onMessage({ failure: `${request.backend}: the process ended with ${signal ?? `exit code ${String(code)}`}.` });
}

function stopAll(child: ChildProcess, signal: NodeJS.Signals): void {
  child.kill(signal);
  process.exit(signal === 'SIGINT' ? 130 : 143);
}

function writeJson(path: string, value: unknown): void {
  try {
    writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
  } catch (error) {
    throw new BenchError(`--json ${path}: ${(error as Error).message}. Choose another file.`);
  }
}

/** A path as the user typed it, from the folder the user stands in. */
function userPath(path: string): string {
  return resolve(process.env['SGDIFF_CWD'] ?? process.cwd(), path);
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Expected a whole number from 1.');
  return value;
}

function counts(text: string): number[] {
  return text.split(',').map(count);
}

function expression(text: string): string {
  try {
    return new RegExp(text).source;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

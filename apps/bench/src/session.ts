import { startBackend } from './backend';
import type { BenchCase } from './bench-case';
import { BenchError } from './errors';
import { measureDrawing } from './drawing';
import { measureLimits, type Limits } from './limits';
import { measure, requireEqual, tensorContestant } from './measure';
import { measureMemory } from './memory';
import { operationCases } from './operations';
import { startPyTorch, type PyTorch } from './pytorch';
import type { BenchResult, DrawingResult, MemoryResult } from './result';
import { PICTURE_BOOK, SMALL, stepCases } from './steps';

/** What one process measures: one backend with one number of threads. */
export type SessionRequest = {
  readonly backend: string;
  readonly threads: number;
  readonly rounds: number;
  /** A regular expression over the names of the operations. */
  readonly only?: string;
  readonly part?: 'nn' | 'model';
  /** A Python with torch. */
  readonly python?: string;
  /** Small sizes, for tests. */
  readonly tiny: boolean;
  /** Trains so many steps instead and looks at memory. */
  readonly memorySteps?: number;
  /** Draws a picture with this model folder instead. */
  readonly drawing?: { readonly model: string; readonly steps: number };
};

export type SessionMessage =
  | { readonly note: string }
  | { readonly result: BenchResult }
  | { readonly memory: MemoryResult }
  | { readonly drawing: DrawingResult }
  /** The whole session or one operation ended with an error. */
  | { readonly failure: string };

/** Steps come in a row, as in training: a single one would find all threads asleep. */
const TURN_MS = { nn: 30, model: 1000 };
const BUDGET_MS = 40_000;

/** Measures and tells what it finds as it goes. */
export async function runSession(request: SessionRequest, tell: (message: SessionMessage) => void): Promise<void> {
  const { backend, python, tiny } = request;
  const choice = await startBackend(backend, request.threads);
  const { threads } = choice;
  if (threads !== request.threads) throw new BenchError(`${backend} with ${request.threads} threads: ${choice.remark ?? `it started with ${threads}`}.`);
  const name = `${backend}, ${threads} ${threads === 1 ? 'thread' : 'threads'}${choice.adapter ? ` (${choice.adapter})` : ''}`;
  if (request.memorySteps !== undefined) {
    tell({ note: `${name}: ${request.memorySteps} training steps of a small U-Net` });
    for await (const state of measureMemory(request.memorySteps)) tell({ memory: { ...state, backend, threads } });
    return;
  }
  if (request.drawing) {
    const { model, steps } = request.drawing;
    tell({ note: `${name}: ${model}, ${steps} steps` });
    tell({ drawing: { ...(await choice.guard(() => measureDrawing(model, steps))), backend, threads } });
    return;
  }
  const limits = backend === 'wasm' ? await measureLimits(threads) : undefined;
  if (limits) {
    tell({ note: `${name}: at most ${limits.gflops.toFixed(0)} GFLOP/s and ${limits.gigabytesPerSecond.toFixed(1)} GB/s` });
  }
  const pytorch = python === undefined ? undefined : await startPyTorch(python, threads);
  if (pytorch) tell({ note: `PyTorch ${pytorch.version}, ${threads} ${threads === 1 ? 'thread' : 'threads'}` });
  try {
    for (const benchCase of selectCases(request)) {
      tell({ note: `${name}: ${benchCase.op}, ${benchCase.shape}` });
      try {
        const setting = { ...request, threads, turnMs: tiny ? 0 : TURN_MS[benchCase.part] };
        tell({ result: await choice.guard(() => runCase(benchCase, setting, limits, pytorch)) });
      } catch (error) {
        tell({ failure: `${name}: ${benchCase.op}, ${benchCase.shape}: ${(error as Error).message}` });
      }
    }
  } finally {
    pytorch?.stop();
  }
}

/** The operations that a request is about, in their order. */
export function selectCases({ only, part, tiny }: Pick<SessionRequest, 'only' | 'part' | 'tiny'>): BenchCase[] {
  const pattern = new RegExp(only ?? '');
  const cases = [...operationCases({ tiny }), ...stepCases(tiny ? SMALL : PICTURE_BOOK)];
  return cases.filter((benchCase) => pattern.test(benchCase.op) && (part === undefined || benchCase.part === part));
}

async function runCase(
  { op, shape, flops, bytes, baseline, pytorch: task, create }: BenchCase,
  { backend, threads, rounds, turnMs }: { backend: string; threads: number; rounds: number; turnMs: number },
  limits: Limits | undefined,
  pytorch: PyTorch | undefined,
): Promise<BenchResult> {
  const work = await create();
  try {
    await requireEqual(op, work.ours, work.plain);
    const contestants = [tensorContestant(work.ours), tensorContestant(work.plain)];
    if (pytorch) contestants.push(await pytorch.make(task));
    const [ms, baselineMs, pytorchMs] = await measure(contestants, { rounds, turnMs, budgetMs: BUDGET_MS });
    const bound = limits && bytes !== null ? (limits.gigabytesPerSecond * flops) / bytes : Infinity;
    return {
      op,
      backend,
      threads,
      ms: rounded(ms),
      gflops: rounded(flops / ms / 1e6),
      baselineMs: rounded(baselineMs),
      ratio: rounded(baselineMs / ms),
      shape,
      bytes,
      limitGflops: limits ? rounded(Math.min(limits.gflops, bound)) : null,
      baseline: baseline(),
      pytorchMs: pytorchMs === undefined ? null : rounded(pytorchMs),
      pytorchRatio: pytorchMs === undefined ? null : rounded(pytorchMs / ms),
    };
  } finally {
    work.dispose();
  }
}

/** Four digits. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

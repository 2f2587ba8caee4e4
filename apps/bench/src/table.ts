import type { BenchResult, DrawingResult, MemoryResult } from './result';

type Table = { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] };

/** Columns that hold words; all others hold numbers. */
const WORDS: ReadonlySet<string> = new Set(['operation', 'sizes', 'backend', 'model']);

export function resultTable(results: readonly BenchResult[]): Table {
  const hasLimit = results.some(({ limitGflops }) => limitGflops !== null);
  const hasPyTorch = results.some(({ pytorchMs }) => pytorchMs !== null);
  return {
    head: [
      ...['operation', 'sizes', 'backend', 'threads', 'ms', 'GFLOP/s', ...(hasLimit ? ['limit'] : []), 'MB'],
      ...['tfjs ms', '× tfjs', ...(hasPyTorch ? ['PyTorch ms', '× PyTorch'] : [])],
    ],
    rows: results.map((result) => [
      ...[result.op, result.shape, result.backend, String(result.threads), number(result.ms), number(result.gflops)],
      ...(hasLimit ? [number(result.limitGflops)] : []),
      number(result.bytes === null ? null : result.bytes / 1e6),
      ...[number(result.baselineMs), number(result.ratio)],
      ...(hasPyTorch ? [number(result.pytorchMs), number(result.pytorchRatio)] : []),
    ]),
  };
}

export function memoryTable(results: readonly MemoryResult[]): Table {
  return {
    head: ['step', 'backend', 'threads', 'tensors', 'bytes in tensors', 'bytes of wasm', 'bytes of the process'],
    rows: results.map(({ step, backend, threads, tensors, tensorBytes, wasmBytes, rssBytes }) => [
      ...[String(step), backend, String(threads), String(tensors), String(tensorBytes)],
      ...[wasmBytes === null ? '' : String(wasmBytes), String(rssBytes)],
    ]),
  };
}

export function drawingTable(results: readonly DrawingResult[]): Table {
  const seconds = (ms: number): string => number(ms / 1000);
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  return {
    head: [
      ...['model', 'backend', 'threads', 'load s', 'step s', 'GFLOP/s', 'decode s'],
      ...['MB weights', 'MB loaded', 'MB at most', 'MB of wasm'],
    ],
    rows: results.map((result) => [
      ...[result.model, result.backend, String(result.threads), seconds(result.loadMs), seconds(result.stepMs)],
      ...[number(result.gflops), seconds(result.decodeMs), megabytes(result.weightBytes), megabytes(result.loadedBytes)],
      ...[megabytes(result.peakBytes), result.wasmBytes === null ? '' : megabytes(result.wasmBytes)],
    ]),
  };
}

/** Aligned columns for a terminal. */
export function toText({ head, rows }: Table): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (WORDS.has(head[column]) ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function toMarkdown({ head, rows }: Table): string {
  const rule = head.map((name) => (WORDS.has(name) ? '---' : '---:'));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function number(value: number | null): string {
  if (value === null) return '';
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { operationCases } from './operations';
import type { BenchResult, DrawingResult, MemoryResult } from './result';
import { SMALL, stepCases } from './steps';

const program = join(import.meta.dirname, '../dist/main.js');
const folder = mkdtempSync(join(tmpdir(), 'sgdiff-bench-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

function bench(...args: string[]): Promise<Ended> {
  const { SGDIFF_PYTHON: _python, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, [program, '--tiny', '--rounds', '1', ...args], { env: { ...env, SGDIFF_CWD: folder } }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

const readJson = <T>(name: string): T => JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;

describe('npm run bench', () => {
  it('times every operation and step against plain tfjs, which computes the same', async () => {
    const { code, stdout, stderr } = await bench('--threads', '1', '--json', 'bench.json');
    expect(stderr).not.toMatch(/differs/);
    expect(code).toBe(0);
    const results = readJson<BenchResult[]>('bench.json');
    const cases = [...operationCases({ tiny: true }), ...stepCases(SMALL)];
    expect(results.map(({ op, shape }) => `${op} ${shape}`)).toEqual(cases.map(({ op, shape }) => `${op} ${shape}`));
    expect(results.map(({ op }) => op)).toEqual(expect.arrayContaining(['train-step', 'sample-step']));
    results.forEach((result, i) => {
      expect(Object.keys(result).slice(0, 7)).toEqual(['op', 'backend', 'threads', 'ms', 'gflops', 'baselineMs', 'ratio']);
      expect(result).toMatchObject({ backend: 'wasm', threads: 1, pytorchMs: null, pytorchRatio: null });
      // Written with four digits.
      expect(result.ratio / (result.baselineMs / result.ms)).toBeCloseTo(1, 2);
      expect((result.gflops * result.ms * 1e6) / cases[i].flops).toBeCloseTo(1, 2);
      expect(stdout).toContain(result.shape);
    });
  });

  it('takes what it is asked for, on several numbers of threads, and prints Markdown', async () => {
    const { code, stdout } = await bench('--threads', '1,2', '--only', '^layer', '--markdown', '--json', 'some.json');
    expect(code).toBe(0);
    expect(readJson<BenchResult[]>('some.json').map(({ op, threads }) => [op, threads])).toEqual([
      ['layer-norm-grad', 1],
      ['layer-norm-grad', 2],
    ]);
    expect(stdout).toMatch(/^\| operation \| sizes \| backend \|.*\n\| --- \| --- \| --- \| ---: \|/);
  });

  it('leaves out whole steps with --part nn', async () => {
    await bench('--threads', '1', '--part', 'nn', '--only', 'step|ema|linear', '--json', 'nn.json');
    expect(readJson<BenchResult[]>('nn.json').map(({ op }) => op)).toEqual(['linear-grad', 'adamw-ema']);
  });

  it('reports memory, which stays as it is from step to step', async () => {
    const { code } = await bench('--threads', '1', '--memory', '40', '--json', 'memory.json');
    expect(code).toBe(0);
    const [early, late] = readJson<MemoryResult[]>('memory.json');
    expect([early.step, late.step]).toEqual([4, 40]);
    const { tensors, tensorBytes, wasmBytes } = early;
    expect(late).toMatchObject({ tensors, tensorBytes, wasmBytes });
  });

  it('loads a model and draws with it', async () => {
    const model = join(import.meta.dirname, '../../../packages/model-picture-book');
    const { code, stdout } = await bench('--threads', '1', '--model', model, '--steps', '3', '--json', 'drawing.json');
    expect(code).toBe(0);
    const [result] = readJson<DrawingResult[]>('drawing.json');
    expect(result).toMatchObject({ model: 'picture-book', backend: 'wasm', threads: 1, imageSize: 64 });
    expect(result.peakBytes).toBeGreaterThanOrEqual(result.loadedBytes);
    expect(result.loadedBytes).toBeGreaterThan(result.weightBytes);
    expect(stdout).toContain('step s');
    const absent = await bench('--threads', '1', '--model', join(folder, 'nowhere'));
    expect(absent.code).toBe(1);
    expect(absent.stderr).toContain('nowhere": expected a folder, a URL or an installed npm package, found none.');
    expect((await bench('--model', model, '--steps', '1')).stderr).toContain('--steps 1: expected 2 or more');
  });

  const python = process.env['SGDIFF_PYTHON'];
  it.skipIf(python === undefined)('times PyTorch, whose U-Net has as many weights (needs SGDIFF_PYTHON)', async () => {
    expect((await bench('--threads', '1', '--python', python!, '--json', 'torch.json')).code).toBe(0);
    for (const { ms, pytorchMs, pytorchRatio } of readJson<BenchResult[]>('torch.json')) {
      expect(pytorchRatio! / (pytorchMs! / ms)).toBeCloseTo(1, 2);
    }
  });

  it('says what is wrong', async () => {
    const nothing = await bench('--threads', '1', '--only', 'nothing');
    expect(nothing).toMatchObject({ code: 1, stderr: 'bench: --only nothing: no operation has such a name.\n' });
    expect((await bench('--threads', '0')).stderr).toContain('Expected a whole number from 1.');
    expect((await bench('--only', '(')).stderr).toContain('Invalid regular expression');
    const pythonless = await bench('--threads', '1', '--only', 'linear', '--python', join(folder, 'no-python'));
    expect(pythonless.code).toBe(1);
    expect(pythonless.stderr).toMatch(/--python .*no-python: .*ENOENT\. Give the path of a Python with torch\.\n$/);
  });

  it('ends at Ctrl-C and leaves no process behind', async () => {
    const child = spawn(process.execPath, [program, '--threads', '1', '--only', 'train'], { stdio: ['ignore', 'ignore', 'pipe'] });
    await new Promise<void>((resolve) => child.stderr.on('data', (text: Buffer) => String(text).includes('train-step') && resolve()));
    const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
    child.kill('SIGINT');
    // Standard error is shared with the process of the session: it closes when both have ended.
    expect(await closed).toBe(130);
  });
});

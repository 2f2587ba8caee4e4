import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { runCommand } from '../testing/run-command';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { contract, type BackendContract } from './contract';

// Emulated GPUs and busy machines take their time.
const TIMEOUT = 900_000;

const folder = temporaryFolder();

type Result = { readonly passed: boolean; readonly backends: readonly BackendContract[] };

async function runContractOf(...args: string[]): Promise<{ code: number | null; result: Result }> {
  const { code, stdout } = await runCommand(folder, ['doctor', '--contract', '--json', ...args]);
  return { code, result: JSON.parse(stdout) as Result };
}

describe('the operations keep their contract', () => {
  it.each([
    ['cpu', []],
    ['wasm', ['--threads', '1']],
    ['wasm', ['--threads', '2']],
  ])(
    'on %s %j',
    async (backend, args) => {
      const { code, result } = await runContractOf('--backend', backend, ...args);
      expect(failuresIn(result)).toEqual([]);
      expect(result).toMatchObject({ passed: true, backends: [{ backend, status: 'passed' }] });
      expect(code).toBe(0);
    },
    TIMEOUT,
  );

  const driver = '/usr/lib/chromium/vk_swiftshader_icd.json';
  const absent = !process.env['CI'] && !existsSync(driver);
  it.skipIf(absent)(
    `on webgpu${absent ? ` (skipped: no ${driver}, which comes with Debian's chromium)` : ', SwiftShader where there is no GPU'}`,
    async () => {
      const { code, result } = await runContractOf('--backend', 'webgpu');
      expect(failuresIn(result)).toEqual([]);
      expect(result).toMatchObject({ passed: true, backends: [{ backend: 'webgpu', status: 'passed' }] });
      expect(code).toBe(0);
    },
    TIMEOUT,
  );

  it(
    'on tensorflow where it is installed',
    async ({ skip }) => {
      const { result } = await runContractOf('--backend', 'tensorflow');
      const [{ status, reason }] = result.backends;
      if (status === 'unavailable') skip(reason);
      expect(failuresIn(result)).toEqual([]);
      expect(status).toBe('passed');
    },
    TIMEOUT,
  );
});

it(
  'end with exit code 1 when the backend asked for cannot be what was asked for',
  async () => {
    const { code, result } = await runContractOf('--backend', 'cpu', '--threads', '2');
    expect(result).toMatchObject({ passed: false, backends: [{ backend: 'cpu', status: 'unavailable' }] });
    expect(code).toBe(1);
  },
  TIMEOUT,
);

/** What went wrong, so that a failed test shows it. */
function failuresIn({ backends }: Result): unknown[] {
  return backends.flatMap(({ report, status, reason }): unknown[] => [
    ...(report?.failures ?? []),
    ...(status === 'failed' && !report ? [reason] : []),
  ]);
}

describe('what the process of a backend says', () => {
  const before = process.exitCode;
  afterEach(() => (process.exitCode = before));

  const op = { op: 'silu', cases: 1, checks: 9, failures: 0, valueError: 1e-7, gradientError: 2e-7 };
  const report = { backend: 'cpu', cases: 1, checks: 9, failures: [], ops: [op] };
  const failure = { op: 'silu', case: 'far out', what: 'value of y at [3]', expected: '1', received: 'NaN' };

  it.each<[string, { lines: unknown[]; end?: string }, RegExp[], number | undefined]>([
    ['all passed', { lines: [{ started: 'plain JS' }, { done: 1 }, { report }] }, [/^ {2}✓ cpu +9 passed, 0 failed; largest error 1\.0e-7 \(values\), 2\.0e-7 \(gradients\); .*; plain JS$/], undefined],
    [
      'one failed, with a value that is not finite',
      { lines: [{ started: '' }, { report: { ...report, failures: [failure], ops: [{ ...op, valueError: null }] } }] },
      [/^ {2}✗ cpu +8 passed, 1 failed; largest error Infinity \(values\)/, /^ {6}silu, far out: value of y at \[3\]: expected 1, received NaN$/],
      1,
    ],
    ['the process dies at work', { lines: [{ started: '' }, { done: 1 }], end: 'process.exit(9)' }, [/^ {2}✗ cpu +failed: its process ended with exit code 9 before the last case$/], 1],
    ['the backend is lost', { lines: [{ started: '' }, { done: 1 }, { failed: 'cpu: it was lost' }] }, [/^ {2}✗ cpu +failed: it was lost$/], 1],
    ['the backend asked for does not start', { lines: [{ unavailable: 'no driver' }] }, [/^ {2}· cpu +not available: no driver$/], 1],
    ['the process dies at the start', { lines: [], end: 'process.abort()' }, [/^ {2}· cpu +not available: its process ended with SIGABRT before the last case$/], 1],
  ])('is told: %s', async (_, { lines, end = '' }, said, exitCode) => {
    const script = join(folder, 'process.cjs');
    writeFileSync(script, `process.stdout.write(${JSON.stringify(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))}, () => { ${end} });`);
    const terminal = silentTerminal();
    await contract({ backend: 'cpu' }, terminal, script);
    expect(terminal.lines).toEqual(said.map((line) => expect.stringMatching(line) as string));
    expect(process.exitCode).toBe(exitCode);
  }); // prettier-ignore

  it('refuses options that only the contract takes', async () => {
    const { code, stderr } = await runCommand(folder, ['doctor', '--backend', 'wasm']);
    expect(code).toBe(1);
    expect(stderr).toBe(
      'sgdiff: --backend, --threads and --adapter are for the contract: give --contract as well, or leave them out.\n',
    );
  });

  it('names the backends there are for one there is not', async () => {
    await expect(contract({ backend: 'abacus' }, silentTerminal())).rejects.toThrow(
      /^Unknown backend "abacus", expected one of: .*wasm.*\.$/,
    );
  });
});

import { spawn } from 'node:child_process';
import { inject } from 'vitest';

export type CommandResult = {
  /** Exit code; null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type RunningCommand = {
  readonly done: Promise<CommandResult>;
  interrupt(): void;
  /** As the closing of its terminal does: nobody takes what it still says to people. */
  hangUp(): void;
};

/** Starts the built `sgdiff` in `cwd`, with `more` in its environment. */
export function startCommand(cwd: string, args: readonly string[], more: Readonly<Record<string, string>> = {}): RunningCommand {
  const { SGDIFF_CWD: _, ...env } = process.env;
  const child = spawn(process.execPath, [inject('command'), ...args], { cwd, env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (out[name] += text));
  }
  const done = new Promise<CommandResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...out }));
  });
  return {
    done,
    interrupt: () => void child.kill('SIGINT'),
    hangUp() {
      child.stderr.destroy();
      child.kill('SIGHUP');
    },
  };
}

export function runCommand(cwd: string, args: readonly string[], more?: Readonly<Record<string, string>>): Promise<CommandResult> {
  return startCommand(cwd, args, more).done;
}

/**
 * The result of a command with `--json`.
 *
 * @throws Error unless it ended well and printed one JSON object in one line, and nothing else, on standard output.
 */
export async function runJson(cwd: string, args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runCommand(cwd, [...args, '--json']);
  if (code !== 0) throw new Error(`sgdiff ${args.join(' ')}: exit code ${String(code)}\n${stderr}`);
  if (!/^\{.*\}\n$/.test(stdout)) throw new Error(`sgdiff ${args.join(' ')}: expected one JSON object, received ${stdout}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

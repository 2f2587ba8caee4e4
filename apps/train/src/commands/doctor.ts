import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { conv2d } from '@sgdiff/nn';
import * as tf from '@tensorflow/tfjs-core';
import { BACKENDS, startBackend, type BackendName } from '../backend';
import { messageOf } from '../files';
import type { Terminal } from '../terminal';

export type BackendReport = {
  readonly name: string;
  readonly available: boolean;
  /** Why not, or what it is. */
  readonly reason: string;
  /** Measured on a 3×3 convolution of 8×32×32×64; null where not available. */
  readonly gflops: number | null;
  readonly threads: number;
};

/**
 * What works on this machine. Each backend is tried in a process of its own: they share one engine otherwise, and a
 * broken native add-on may take the process down.
 */
export function doctor(terminal: Terminal): void {
  const backends = BACKENDS.map((name) => probeInProcess(name));
  const chosen = backends.find((report) => report.available)?.name ?? null;
  const threads = availableParallelism();
  terminal.say(`Node ${process.versions.node}, ${threads} cores`);
  for (const { name, available, reason, gflops } of backends) {
    const speed = gflops === null ? '' : `  ${gflops.toFixed(1)} GFLOP/s`;
    terminal.say(`  ${available ? '✓' : '✗'} ${name.padEnd(12)}${speed}  ${reason}`);
  }
  terminal.say(chosen ? `Chosen unless --backend says otherwise: ${chosen}` : 'No backend works here.');
  terminal.result({ backends, threads, chosen });
}

/** The probe's own process: prints its report as JSON. */
export async function probe(name: string): Promise<void> {
  let report: BackendReport;
  try {
    const choice = await startBackend({ backend: name });
    const [, ...remarks] = choice.reason.split('; ');
    const about = [choice.threads > 1 ? `${choice.threads} threads` : '1 thread', ...remarks].join('; ');
    report = { name, available: true, reason: about, gflops: await measureConvolution(choice.name), threads: choice.threads };
  } catch (error) {
    report = { name, available: false, reason: messageOf((error as Error).cause ?? error), gflops: null, threads: 0 };
  }
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function probeInProcess(name: BackendName): BackendReport {
  const { stdout, status, signal } = spawnSync(process.execPath, [process.argv[1], 'doctor', '--probe', name], {
    encoding: 'utf8',
    timeout: 60_000,
    env: process.env,
  });
  const line = stdout.trim().split('\n').pop() ?? '';
  try {
    return JSON.parse(line) as BackendReport;
  } catch {
    return { name, available: false, reason: `the probe ended with ${signal ?? `exit code ${String(status)}`}`, gflops: null, threads: 0 };
  }
}

/** GFLOP/s of a 3×3 convolution, 64 to 64 channels: the work diffusion is made of. Counts the products of the plain sum, also where fewer are done. */
async function measureConvolution(name: BackendName): Promise<number> {
  const [batch, side, channels] = name === 'cpu' ? [1, 8, 32] : [8, 32, 64];
  const x = tf.ones<tf.Rank.R4>([batch, side, side, channels]);
  const w = tf.ones<tf.Rank.R4>([3, 3, channels, channels]);
  const once = async (): Promise<number> => {
    const begun = performance.now();
    const y = conv2d({ weight: w }, x);
    await y.data();
    y.dispose();
    return performance.now() - begun;
  };
  await once();
  const times: number[] = [];
  for (let i = 0; i < 9; i++) times.push(await once());
  tf.dispose([x, w]);
  const median = times.sort((a, b) => a - b)[4];
  return (2 * batch * side * side * 9 * channels * channels) / median / 1e6;
}

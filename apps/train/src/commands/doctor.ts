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
  /** What one should know about it; where it is not available, why not and what to do. */
  readonly reason: string;
  /** What computes, where that is a device of its own. */
  readonly adapter: string | null;
  readonly threads: number;
  /** Measured on a 3×3 convolution of 64 channels; null where not available. */
  readonly gflops: number | null;
};

/** Those that are chosen without --backend, the better first. */
const UNASKED: readonly string[] = ['tensorflow', 'wasm'] satisfies BackendName[];

/**
 * What works on this machine. Each backend is tried in a process of its own: they share one engine otherwise, and a
 * broken native add-on may take the process down.
 */
export function doctor(terminal: Terminal): void {
  const backends = BACKENDS.map((name) => probeInProcess(name));
  const chosen = backends.find(({ name, available }) => available && UNASKED.includes(name))?.name ?? null;
  const threads = availableParallelism();
  terminal.say(`Node ${process.versions.node}, ${threads} cores`);
  for (const report of backends) terminal.say(describe(report));
  terminal.say(chosen ? `Chosen unless --backend says otherwise: ${chosen}` : 'No backend works here.');
  if (backends.some(hasGpu) && chosen === 'wasm') terminal.say('A GPU is here: --backend webgpu computes on it.');
  terminal.say('More on each: docs/backends.md');
  terminal.result({ backends, threads, chosen });
}

/** A software adapter comes with a remark. */
function hasGpu({ name, available, reason }: BackendReport): boolean {
  return name === 'webgpu' && available && reason === '';
}

/** The probe's own process: prints its report as JSON. */
export async function probe(name: string): Promise<void> {
  let report: BackendReport;
  try {
    const { threads, adapter = null, remark = '', guard } = await startBackend({ backend: name });
    report = { name, available: true, reason: remark, adapter, threads, gflops: await guard(measureConvolution) };
  } catch (error) {
    report = unavailable(name, messageOf((error as Error).cause ?? error));
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
    return unavailable(name, `the probe ended with ${signal ?? `exit code ${String(status)}`}`);
  }
}

function unavailable(name: string, reason: string): BackendReport {
  return { name, available: false, reason: reason.replace(`${name}: `, ''), adapter: null, threads: 0, gflops: null };
}

function describe({ name, available, reason, adapter, threads, gflops }: BackendReport): string {
  const label = `  ${available ? '✓' : '✗'} ${name.padEnd(12)}`;
  if (gflops === null) return `${label}${reason}`;
  const facts = [adapter ?? (threads === 1 ? '1 thread' : `${threads} threads`), reason].filter(Boolean);
  return `${label}${gflops.toFixed(1).padStart(8)} GFLOP/s  ${facts.join('; ')}`;
}

const SIDE = 32;
const CHANNELS = 64;
const MOST_PICTURES = 256;
/** Long enough that starting the work and learning of its end count little. */
const WORTH_TIMING_MS = 20;

/** GFLOP/s of a 3×3 convolution: the work diffusion is made of. Counts the products of the plain sum, also where fewer are done. */
async function measureConvolution(): Promise<number> {
  const weight = tf.ones<tf.Rank.R4>([3, 3, CHANNELS, CHANNELS]);
  try {
    for (let batch = 1; ; batch *= 4) {
      const x = tf.ones<tf.Rank.R4>([batch, SIDE, SIDE, CHANNELS]);
      try {
        await timeOnce(weight, x);
        const enough = (await timeOnce(weight, x)) > WORTH_TIMING_MS || batch >= MOST_PICTURES;
        if (enough) return (2 * batch * SIDE * SIDE * 9 * CHANNELS * CHANNELS) / (await medianTime(weight, x)) / 1e6;
      } finally {
        x.dispose();
      }
    }
  } finally {
    weight.dispose();
  }
}

async function medianTime(weight: tf.Tensor4D, x: tf.Tensor4D): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 9; i++) times.push(await timeOnce(weight, x));
  return times.sort((a, b) => a - b)[4];
}

async function timeOnce(weight: tf.Tensor4D, x: tf.Tensor4D): Promise<number> {
  const begun = performance.now();
  const last = tf.tidy(() => tf.slice(conv2d({ weight }, x), [0, 0, 0, 0], [1, 1, 1, 1]));
  await last.data();
  last.dispose();
  return performance.now() - begun;
}

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';

/**
 * Starts the wasm backend with threads in Node, which tfjs 4.22 switches off. Its loader hands the threads two scripts
 * as Blob URLs, which Node's worker_threads cannot start from: while the backend comes up, real files stand in for
 * them. Its thread pool takes half of the cores it is told of, so it is told of twice as many.
 *
 * @param threads Wanted size of the pool, 2 or more.
 * @param start Brings the backend up (`tf.setBackend('wasm')`).
 * @throws what `start` throws; the patched functions are put back in any case.
 */
export async function startWithNodeThreads(threads: number, start: () => Promise<void>): Promise<void> {
  const require = createRequire(import.meta.url);
  const os = require('node:os') as { cpus: () => unknown[] };
  const loader = '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-threaded-simd';
  const { wasmWorkerContents } = require(`${loader}.worker.js`) as { wasmWorkerContents: string };

  const folder = mkdtempSync(join(tmpdir(), 'sgdiff-wasm-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const workerFile = join(folder, 'worker.cjs');
  const preamble = `URL.createObjectURL = () => ${JSON.stringify(require.resolve(`${loader}.js`))};\n`;
  // The string was written for a Blob, in which an escaped newline stays escaped.
  writeFileSync(workerFile, preamble + wasmWorkerContents.replace(/\n/g, '\\n'));

  const { createObjectURL } = URL;
  const { cpus } = os;
  URL.createObjectURL = () => workerFile;
  os.cpus = () => new Array<unknown>(2 * threads).fill(cpus()[0]);
  try {
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', true);
    await start();
  } finally {
    URL.createObjectURL = createObjectURL;
    os.cpus = cpus;
  }
}

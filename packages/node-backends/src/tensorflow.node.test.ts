import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { forgetNodePath } from './testing/forget-node-path';
import { runScript } from './testing/run-script';
import { startTensorflow } from './tensorflow';

/** The add-on itself, where Node finds one from here (NODE_PATH will do), without what Node 23 removed. */
const real = await runScript(`
  import { createRequire } from 'node:module';
  import * as tf from '@tensorflow/tfjs-core';
  import { startTensorflow } from './tensorflow';
  const util = createRequire(import.meta.url)('node:util');
  delete util.isArray;
  delete util.isNullOrUndefined;
  try {
    const { guard, threads, remark } = await startTensorflow({ threads: 1 });
    const x = tf.tensor2d([[1, 2], [3, 4]]);
    const gradient = tf.grad((a) => tf.sum(tf.matMul(a, a)))(x);
    const { values } = tf.topk(x, 1);
    console.log(JSON.stringify({ threads, remark, gradient: await guard(() => gradient.array()), top: await values.array() }));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 3;
  }
`);
const missing = real.code === 3 ? real.stderr.trim() : undefined;

it.skipIf(missing)(`the native add-on computes${missing ? ` (${missing})` : ''}`, () => {
  expect({ code: real.code, ...(JSON.parse(real.stdout) as object) }).toMatchObject({
    code: 0,
    threads: 1,
    gradient: [
      [7, 11],
      [9, 13],
    ],
    top: [[2], [4]],
  });
});

beforeAll(forgetNodePath);

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'sgdiff-tensorflow-'))));
afterEach(() => {
  vi.unstubAllGlobals();
  rmSync(folder, { recursive: true, force: true });
});

/** An installed package; `main` runs when it loads, if its binding was built. */
function install(name: string, { built, main = '' }: { built: boolean; main?: string }): string {
  const at = join(folder, 'node_modules', name);
  mkdirSync(join(at, 'lib/napi-v8'), { recursive: true });
  writeFileSync(join(at, 'package.json'), JSON.stringify({ name, main: 'index.js' }));
  writeFileSync(join(at, 'index.js'), main);
  if (built) writeFileSync(join(at, 'lib/napi-v8/tfjs_binding.node'), '');
  return at;
}

/** What a package does when it loads: registers a backend. */
const REGISTER = 'globalThis.registerTensorflow();';
function acceptBackend(more: { isUsingGpuDevice?: boolean } = {}): void {
  vi.stubGlobal('registerTensorflow', () => {
    tf.registerBackend('tensorflow', () =>
      Object.assign(new tf.KernelBackend(), { isUsingGpuDevice: false, dispose: () => undefined, ...more }),
    );
  });
}
afterEach(async () => {
  await tf.setBackend('cpu');
  if (tf.findBackendFactory('tensorflow')) tf.removeBackend('tensorflow');
});

describe('finding the native add-on', () => {
  it('says what to install where there is none', async () => {
    await expect(startTensorflow({ from: [folder] })).rejects.toMatchObject({
      name: 'BackendError',
      code: 'unavailable',
      message:
        'tensorflow: none of @tensorflow/tfjs-node-gpu, @tensorflow/tfjs-node is installed. npm install @tensorflow/tfjs-node',
    });
  });

  it('says how to let the install script run that did not, and loads nothing', async () => {
    const at = install('@tensorflow/tfjs-node-gpu', { built: false, main: `throw new Error('loaded');` });
    await expect(startTensorflow({ from: [folder] })).rejects.toMatchObject({
      code: 'unavailable',
      message:
        'tensorflow: @tensorflow/tfjs-node-gpu has no native binding, since its install script did not run. ' +
        `To let it run, which downloads libtensorflow: npm run install --prefix "${at}"`,
    });
  });

  it('says what is wrong with a binding that does not load', async () => {
    install('@tensorflow/tfjs-node', { built: true, main: `throw new Error('libtensorflow.so.2: no such file');` });
    await expect(startTensorflow({ from: [folder] })).rejects.toThrow(
      'tensorflow: the native binding of @tensorflow/tfjs-node does not load: libtensorflow.so.2: no such file',
    );
  });

  it('prefers the one for GPUs', async () => {
    acceptBackend({ isUsingGpuDevice: true });
    install('@tensorflow/tfjs-node', { built: true, main: REGISTER });
    install('@tensorflow/tfjs-node-gpu', { built: true, main: REGISTER });
    expect(await startTensorflow({ from: [folder] })).toMatchObject({
      name: 'tensorflow',
      adapter: 'CUDA',
      remark: '@tensorflow/tfjs-node-gpu',
    });
  });

  it('takes the other one if only that was built', async () => {
    acceptBackend();
    install('@tensorflow/tfjs-node', { built: true, main: REGISTER });
    install('@tensorflow/tfjs-node-gpu', { built: false });
    const backend = await startTensorflow({ from: [folder], threads: 3 });
    expect(backend).toMatchObject({ name: 'tensorflow', threads: 3, remark: '@tensorflow/tfjs-node' });
    expect(backend.adapter).toBeUndefined();
    expect(process.env['TF_NUM_INTRAOP_THREADS']).toBe('3');
  });
});

it('gives the add-on what Node 23 took from node:util', async () => {
  const util = createRequire(import.meta.url)('node:util') as Record<string, unknown>;
  const { isArray, isNullOrUndefined } = util;
  delete util['isArray'];
  delete util['isNullOrUndefined'];
  acceptBackend();
  const main = `const util = require('util');
    if (!util.isArray([]) || util.isArray({}) || !util.isNullOrUndefined(null) || !util.isNullOrUndefined() || util.isNullOrUndefined(0)) throw new Error('wrong');
    ${REGISTER}`;
  install('@tensorflow/tfjs-node', { built: true, main });
  try {
    await expect(startTensorflow({ from: [folder] })).resolves.toMatchObject({ name: 'tensorflow' });
  } finally {
    Object.assign(util, { isArray, isNullOrUndefined });
  }
});

it('tells when memory is used up', async () => {
  acceptBackend();
  install('@tensorflow/tfjs-node', { built: true, main: REGISTER });
  const { guard } = await startTensorflow({ from: [folder] });
  const step = guard(async () => {
    throw new Error('Invalid TF_Status: 8\nMessage: OOM when allocating tensor with shape[8] and type float');
  });
  await expect(step).rejects.toMatchObject({ name: 'BackendError', code: 'memory' });
});

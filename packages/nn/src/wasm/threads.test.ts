import { existsSync, readdirSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import {
  attention,
  KernelThreadsError,
  conv2d,
  createRng,
  geglu,
  groupNormSilu,
  initAttention,
  initConv2d,
  initGeglu,
  initGroupNorm,
  initLayerNorm,
  initLinear,
  kernelThreads,
  layerNorm,
  linear,
  startKernelThreads,
  toVariables,
  upsampleNearest2x,
  valueAndGrads,
} from '../index';
import { type WasmBackend, wasmBackend } from './backend';
import { runRanges } from './threads';

const TASKS = '/proc/self/task';

describe('kernel threads', () => {
  beforeAll(() => setupBackend('wasm', { shared: true }));
  afterAll(() => startKernelThreads(1));

  it('give the bytes of one thread, values and gradients, whatever their number', async () => {
    const alone = await step(1);
    expect(alone.length).toBeGreaterThan(10_000);
    for (const threads of [2, 3, 5]) {
      const { dispose } = await startKernelThreads(threads);
      expect(kernelThreads()).toBe(threads);
      // Several times: how the ranges fall to the threads is chance.
      for (let i = 0; i < 4; i++) expect(Buffer.compare(await step(threads), alone)).toBe(0);
      await dispose();
      expect(kernelThreads()).toBe(1);
    }
  });

  it('see memory that came after them', async () => {
    await startKernelThreads(2);
    const { buffer } = memory();
    const filler = Array.from({ length: 3 }, () => tf.zeros([64, 2 ** 20]));
    expect(memory().buffer.byteLength).toBeGreaterThan(buffer.byteLength);
    const [x, identity] = [tf.ones<tf.Rank.R4>([4, 32, 32, 64]), tf.reshape(tf.eye(64), [1, 1, 64, 64]) as tf.Tensor4D] as const;
    const y = conv2d({ weight: identity }, x);
    expect(y).toBeAllClose(x);
    tf.dispose([x, identity, y, ...filler]);
  });

  it('leave nothing behind', async () => {
    await startKernelThreads(2);
    const x = tf.ones<tf.Rank.R4>([4, 32, 32, 64]);
    const params = initConv2d(3, 64, 64, createRng(1));
    await expectNoLeak(() => conv2d(params, x));
    tf.dispose([x, params]);
  });

  it('end with their handle, not with an earlier one, and with their backend', async () => {
    await startKernelThreads(1);
    const before = await tasks();
    const first = await startKernelThreads(2);
    const second = await startKernelThreads(17);
    await first.dispose();
    expect(kernelThreads()).toBe(17);
    await second.dispose();
    expect(kernelThreads()).toBe(1);
    expect(await tasks()).toBeLessThan(before + 8); // Node has threads of its own that come and go
    await startKernelThreads(17);
    await setupBackend('wasm', { shared: true });
    expect(kernelThreads()).toBe(1);
    expect(await tasks()).toBeLessThan(before + 8);
  });

  it('end a kernel that fails in an error, and leave the backend in order', async () => {
    await startKernelThreads(3);
    const beyond = 2 ** 32 - 64;
    const ranges = { total: 64, grain: 1 };
    expect(() => runRanges(wasmBackend() as WasmBackend, 'sumParts', [beyond, beyond, 2, 64], ranges)).toThrow();
    const x = tf.ones<tf.Rank.R2>([300, 300]);
    expect(upsampleNearest2x(tf.reshape(x, [1, 300, 300, 1]) as tf.Tensor4D)).toBeAllClose(tf.ones([1, 600, 600, 1]));
    x.dispose();
  });

  it('are a whole number from 1 to 128', async () => {
    for (const threads of [0, -1, 1.5, NaN, 129]) {
      await expect(startKernelThreads(threads)).rejects.toThrow(
        new RangeError(`startKernelThreads: expected a whole number of threads from 1 to 128, received ${threads}.`),
      );
    }
  });
});

describe('without a shared memory', () => {
  it('there are none on wasm', async () => {
    await setupBackend('wasm', { shared: false });
    await expect(startKernelThreads(2)).rejects.toThrow(KernelThreadsError);
    await expect(startKernelThreads(2)).rejects.toThrow('the memory of the wasm backend is not shared');
    expect(kernelThreads()).toBe(1);
  });

  it('there are none on another backend', async () => {
    await setupBackend('cpu');
    await expect(startKernelThreads(2)).rejects.toThrow('the running backend is not wasm');
    expect(kernelThreads()).toBe(1);
  });
});

/** Value and gradients of a network that has every kind of kernel, as bytes. */
async function step(threads: number): Promise<Buffer> {
  const rng = createRng('threads');
  const params = toVariables({
    conv: initConv2d(3, 12, 20, rng),
    norm: initGroupNorm(20),
    down: initConv2d(3, 20, 24, rng),
    layer: initLayerNorm(24),
    attention: initAttention({ queryWidth: 24, contextWidth: 24, innerWidth: 24, outWidth: 24 }, rng),
    geglu: initGeglu(24, 40, rng),
    few: initConv2d(3, 24, 132, rng),
    wide: initLinear(132, 520, rng),
  });
  const x = tf.tensor4d(rng.fillNormal(new Float32Array(3 * 30 * 34 * 12)), [3, 30, 34, 12]);
  const loss = (): tf.Scalar => {
    const h = groupNormSilu(params.norm, conv2d(params.conv, x), { groups: 5 });
    const half = conv2d(params.down, h, { stride: 2 }); // [3, 15, 17, 24]
    const tokens = layerNorm(params.layer, tf.reshape(upsampleNearest2x(half), [3, 1020, 24]) as tf.Tensor3D);
    const mixed = attention(params.attention, tokens, tf.slice(tokens, [0, 0, 0], [3, 100, 24]), { heads: 4 });
    const corner = conv2d(params.few, tf.slice(half, [0, 0, 0, 0], [1, 7, 9, 24])); // few tiles, and few rows of a large matrix
    return tf.add(tf.sum(tf.square(geglu(params.geglu, mixed))), tf.sum(tf.square(linear(params.wide, corner))));
  };
  expect(kernelThreads()).toBe(threads);
  const { value, grads } = tf.tidy(() => valueAndGrads(loss, params));
  const parts = [value, ...Object.values(grads)].map((tensor) => {
    const values = tensor.dataSync();
    return Buffer.from(Float32Array.from(values).buffer);
  });
  tf.dispose([value, grads, x]);
  for (const variable of Object.values(params).flatMap((layer) => Object.values(layer))) tf.dispose(variable as tf.TensorContainer);
  return Buffer.concat(parts);
}

/** Threads of this process, after those that are ending have ended. */
async function tasks(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 500));
  return existsSync(TASKS) ? readdirSync(TASKS).length : 0; // Linux tells
}

function memory(): WebAssembly.Memory {
  return (wasmBackend() as WasmBackend).wasm.wasmMemory!;
}

import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { startWasm } from './wasm';
import { runScript } from './testing/run-script';

const GIBIBYTE = 2 ** 30;

/** The memory of the running backend. */
function memory(): WebAssembly.Memory {
  const { wasm } = tf.backend() as unknown as {
    wasm: { wasmMemory?: WebAssembly.Memory; asm: { memory: WebAssembly.Memory } };
  };
  return wasm.wasmMemory ?? wasm.asm.memory;
}

/** A tensor that nobody has written to yet, so that its memory costs nothing. */
function untouched(bytes: number): tf.Tensor {
  const shape: [number] = [bytes / 4];
  return tf
    .engine()
    .makeTensorFromDataId(tf.backend().write(null as unknown as Float32Array, shape, 'float32'), shape, 'float32');
}

describe.each([true, false])('wasm with a shared memory: %s', (shared) => {
  it('computes, on such a memory', async () => {
    expect(await startWasm({ shared })).toMatchObject({ name: 'wasm', threads: 1 });
    expect(memory().buffer).toBeInstanceOf(shared ? SharedArrayBuffer : ArrayBuffer);
    const y = tf.matMul(tf.ones([3, 5]), tf.ones([5, 2]));
    expect(await y.array()).toEqual([
      [5, 5],
      [5, 5],
      [5, 5],
    ]);
  });

  it('tells when memory is used up, and goes on with what was freed', async () => {
    const { guard } = await startWasm({ shared });
    const kept = tf.tensor1d([1, 2, 3]);
    const large: tf.Tensor[] = [];
    const step = guard(async () => {
      for (let i = 0; i < 5; i++) large.push(untouched(GIBIBYTE));
    });
    await expect(step).rejects.toMatchObject({ name: 'BackendError', code: 'memory' });
    await expect(step).rejects.toThrow(
      'wasm: out of memory (1024 MiB more were asked for; WebAssembly ends at 4 GiB). Use a smaller batch, or another backend.',
    );
    expect(large).toHaveLength(3);
    tf.dispose(large);
    expect(await guard(() => tf.square(kept).array())).toEqual([1, 4, 9]);
    expect(untouched(GIBIBYTE).size).toBe(GIBIBYTE / 4);
  });

  it('tells when a single tensor is more than there could be', async () => {
    await startWasm({ shared });
    expect(() => untouched(5 * GIBIBYTE)).toThrow(/^wasm: out of memory \(5120 MiB more were asked for/);
  });

  it.skipIf(process.platform !== 'linux')(
    'starts no thread, and lets the process end by itself (counts threads on Linux)',
    async () => {
      const result = await runScript(`
      import { readdirSync } from 'node:fs';
      import { Worker } from 'node:worker_threads';
      import * as tf from '@tensorflow/tfjs-core';
      import { startWasm } from './wasm';
      const threads = () => readdirSync('/proc/self/task').length;
      const before = threads();
      await startWasm({ shared: ${shared} });
      await tf.matMul(tf.ones([256, 256]), tf.ones([256, 256])).data();
      const more = threads() - before;
      const worker = new Worker('', { eval: true });
      await new Promise((resolve) => worker.on('exit', resolve));
      console.log(JSON.stringify({ more, global: typeof globalThis.Worker }));
    `);
      expect(result).toEqual({ code: 0, stderr: '', stdout: '{"more":0,"global":"undefined"}\n' });
    },
  );
});

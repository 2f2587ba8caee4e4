import * as tf from '@tensorflow/tfjs';
import { expect, it, vi } from 'vitest';
import { startBackend } from './start-backend';
import { forgetNodePath } from './testing/forget-node-path';

it.each([
  [{ backend: 'cuda' }, 'Unknown backend "cuda", expected one of: tensorflow, webgpu, wasm, cpu.'],
  [{ threads: 0.5 }, 'Expected a whole number of threads from 1 to 128, received 0.5.'],
  [{ threads: 129 }, 'Expected a whole number of threads from 1 to 128, received 129.'],
  [{ backend: 'cpu', threads: 2 }, 'The backend "cpu" has one thread, 2 were asked for. Leave the number out.'],
  [{ backend: 'wasm', threads: 2 }, 'The backend "wasm" has one thread, 2 were asked for. Leave the number out.'],
  [
    { backend: 'wasm', adapter: 'x' },
    'The adapter "x" is for the backend "webgpu": ask for both, or leave the adapter out.',
  ],
])('refuses %j', async (request, message) => {
  await expect(startBackend(request)).rejects.toMatchObject({ name: 'BackendError', code: 'unavailable', message });
});

it('starts what is asked for', async () => {
  expect(await startBackend({ backend: 'cpu' })).toMatchObject({ name: 'cpu', threads: 1, reason: 'asked for' });
  expect(tf.getBackend()).toBe('cpu');
});

it('chooses wasm where there is no native add-on', async () => {
  forgetNodePath();
  expect(await startBackend()).toMatchObject({ name: 'wasm', reason: 'the default' });
});

it('lets threads compute in the memory of wasm', async () => {
  const kernelThreads = vi.fn(async (threads: number) => {
    const { wasm } = tf.backend() as unknown as { wasm: { wasmMemory: WebAssembly.Memory } };
    expect(wasm.wasmMemory.buffer).toBeInstanceOf(SharedArrayBuffer);
    return { threads };
  });
  expect(await startBackend({ backend: 'wasm', threads: 3, kernelThreads })).toMatchObject({ threads: 3 });
  expect(kernelThreads).toHaveBeenCalledWith(3);
});

it('goes on with one thread where others do not start, and says why', async () => {
  const kernelThreads = async (): Promise<never> => {
    throw new Error('no more threads');
  };
  expect(await startBackend({ backend: 'wasm', threads: 2, kernelThreads })).toMatchObject({
    threads: 1,
    remark: 'without threads, which do not start: no more threads',
  });
  expect(await tf.square(tf.tensor1d([3])).array()).toEqual([9]);
});

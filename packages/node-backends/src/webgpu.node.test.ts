import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { startWebgpu, webgpuAdapters } from './webgpu';
import { runScript } from './testing/run-script';
import { webgpuProblem } from './testing/webgpu-problem';

const problem = await webgpuProblem();

describe.skipIf(problem)(`webgpu${problem ? ` (${problem})` : ''}`, () => {
  beforeAll(async () => void (await startWebgpu()));

  it('computes values and gradients', async () => {
    const x = tf.tensor2d([
      [1, 2],
      [3, 4],
    ]);
    const { value, grad } = tf.valueAndGrad((a) => tf.sum(tf.matMul(a as tf.Tensor2D, a as tf.Tensor2D)))(x);
    expect(tf.getBackend()).toBe('webgpu');
    expect(await value.array()).toBe(54);
    expect([...(await grad.data())]).toEqual([7, 11, 9, 13]);
    tf.dispose([x, value, grad]);
  });

  it('names the adapter as Dawn does, and finds it by a part of its name', async () => {
    const [{ name }] = await webgpuAdapters();
    const choice = await startWebgpu({ adapter: name.slice(1, -1).toUpperCase() });
    expect(choice).toMatchObject({
      name: 'webgpu',
      threads: 1,
      adapter: expect.stringContaining(`: ${name}`) as string,
    });
  });

  it('says which adapters there are when it does not find one', async () => {
    const [{ name }] = await webgpuAdapters();
    const started = startWebgpu({ adapter: 'Voodoo 2' });
    await expect(started).rejects.toMatchObject({ name: 'BackendError', code: 'unavailable' });
    await expect(started).rejects.toThrow(/^webgpu: expected an adapter called "Voodoo 2", found: /);
    await expect(started).rejects.toThrow(name);
  });

  it('gives memory back to the device', async () => {
    await startWebgpu();
    const bytes = (): number => (tf.memory() as unknown as { numBytesInGPU: number }).numBytesInGPU;
    const before = bytes();
    const y = tf.tidy(() => tf.square(tf.ones([256, 256])));
    await y.data();
    expect(bytes()).toBeGreaterThan(before);
    y.dispose();
    expect(bytes()).toBe(before);
  });

  it('says how to read where tfjs would need a canvas', async () => {
    const x = tf.tensor1d([2, 3]);
    expect([...x.dataSync()]).toEqual([2, 3]); // still on this side
    const y = tf.square(x);
    expect(() => y.dataSync()).toThrow(
      'webgpu: in Node a tensor is read with "await x.data()"; dataSync() needs a browser.',
    );
    expect([...(await y.data())]).toEqual([4, 9]);
    tf.dispose([x, y]);
  });

  it('does not make Node look like a browser', () => {
    expect((globalThis as { navigator?: { gpu?: unknown } }).navigator?.gpu).toBeUndefined();
  });

  it('reports a device lost in mid-step, and from then on', async () => {
    const { guard } = await startWebgpu();
    const { device } = tf.backend() as unknown as { device: GPUDevice };
    const step = guard(async () => {
      const y = tf.matMul(tf.ones([64, 64]), tf.ones([64, 64]));
      const read = y.data();
      device.destroy();
      return read;
    });
    await expect(step).rejects.toMatchObject({ name: 'BackendError', code: 'lost' });
    await expect(step).rejects.toThrow(/^webgpu: .+ was lost \(.+\): its tensors are gone\. Start again;/);
    await expect(guard(async () => 1)).rejects.toMatchObject({ code: 'lost' });
  });

  it('reports the loss although the step would wait for ever', async () => {
    const { guard } = await startWebgpu();
    const { device } = tf.backend() as unknown as { device: GPUDevice };
    const step = guard(() => new Promise(() => undefined));
    device.destroy();
    await expect(step).rejects.toMatchObject({ code: 'lost' });
  });

  it('reports what is too large for the device', async () => {
    const { guard } = await startWebgpu();
    const { device } = tf.backend() as unknown as { device: GPUDevice };
    const step = guard(() => {
      device.createBuffer({ size: device.limits.maxBufferSize + 4, usage: GPUBufferUsage.STORAGE });
      return new Promise(() => undefined);
    });
    await expect(step).rejects.toMatchObject({ name: 'BackendError', code: 'memory' });
    await expect(step).rejects.toThrow(
      /^webgpu: out of memory \(.+ max buffer size .+\)\. Use a smaller batch, or another backend\.$/s,
    );
  });

  it.each([
    ['after its work', '', 0],
    ['after an error', `throw new Error('on purpose');`, 1],
    ['after the loss of the device', 'tf.backend().device.destroy(); await guard(() => y.data());', 1],
  ])('lets the process end by itself %s', async (_, last, code) => {
    const result = await runScript(`
      import * as tf from '@tensorflow/tfjs-core';
      import { startWebgpu } from './webgpu';
      const { guard } = await startWebgpu();
      const y = tf.ones([4]);
      await guard(() => tf.square(y).data());
      ${last}
    `);
    expect(result).toMatchObject({ code });
  });
});

import { expect, it } from 'vitest';
import { BackendError } from './errors';
import { createGuard, hostMemoryError } from './guard';

const none = (): undefined => undefined;

it('hands over what the work returns or throws', async () => {
  const { guard } = createGuard(none);
  expect(await guard(async () => 7)).toBe(7);
  await expect(guard(() => Promise.reject(new Error('the work’s own')))).rejects.toThrow('the work’s own');
});

it('reports the first failure in place of what comes of it, also when that came before', async () => {
  const { guard, fail } = createGuard(none);
  const step = guard(async () => {
    queueMicrotask(() => fail(new BackendError('lost', 'the reason')));
    queueMicrotask(() => fail(new BackendError('lost', 'a consequence')));
    throw new Error('an unreadable buffer');
  });
  await expect(step).rejects.toThrow('the reason');
  await expect(guard(async () => 1)).rejects.toThrow('the reason');
});

it('recognises arrays that JS has no memory for', async () => {
  const { guard } = createGuard((error) => hostMemoryError('cpu', error));
  await expect(guard(async () => new Float32Array(2 ** 60))).rejects.toMatchObject({
    code: 'memory',
    message: `cpu: out of memory (Invalid typed array length: ${2 ** 60}). Use a smaller batch, or another backend.`,
  });
  await expect(guard(async () => (1).toFixed(1000))).rejects.toBeInstanceOf(RangeError);
});

import { afterEach, describe, expect, it, vi } from 'vitest';
import { stoppable } from './stop-signals';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

afterEach(() => void vi.restoreAllMocks());

describe('stoppable', () => {
  it.each(SIGNALS)('aborts the work at %s, and listens no longer than it lasts', async (name) => {
    const listeners = SIGNALS.map((signal) => process.listenerCount(signal));
    const aborted = await stoppable(async (signal) => {
      expect(signal.aborted).toBe(false);
      process.emit(name);
      return signal.aborted;
    });
    expect(aborted).toBe(true);
    expect(SIGNALS.map((signal) => process.listenerCount(signal))).toEqual(listeners);
  });

  it('ends the process with 130 at the second signal, whichever it is', async () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
    await stoppable(async () => {
      process.emit('SIGINT');
      expect(exit).not.toHaveBeenCalled();
      process.emit('SIGTERM');
      expect(exit).toHaveBeenCalledExactlyOnceWith(130);
    });
  });

  it('hands on what the work throws, and listens no longer', async () => {
    const listeners = process.listenerCount('SIGINT');
    await expect(stoppable(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(process.listenerCount('SIGINT')).toBe(listeners);
  });
});

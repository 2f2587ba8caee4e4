import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { startWasm, startWebgpu } from '@sgdiff/node-backends';
import { backendProblem, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, describe, expect, it } from 'vitest';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { toyStage } from '../testing/toy-stage';
import { runStage, type RunOptions } from './loop';

const root = temporaryFolder();
const problem = await backendProblem('webgpu');

afterEach(() => setupBackend('cpu'));

function options(name: string, over: Partial<RunOptions> = {}): RunOptions {
  return {
    folder: join(root, name),
    resume: false,
    terminal: silentTerminal(),
    backend: 'test',
    checkpointMinutes: 1e-9,
    ...over,
  };
}

/** What is said when the run is continued elsewhere. */
async function continued(name: string): Promise<readonly string[]> {
  await setupBackend('cpu');
  const terminal = silentTerminal();
  const { params } = await runStage(toyStage({ steps: 8 }), options(name, { resume: true, terminal }));
  tf.dispose([params.weight, params.bias]);
  return terminal.lines;
}

describe.skipIf(problem)(`a GPU that is lost in training${problem ? ` (${problem})` : ''}`, () => {
  it.each([
    ['in mid-step', async () => undefined],
    ['while the step waits for ever', () => new Promise<void>(() => undefined)],
  ])('%s ends the run with an error, the last checkpoint intact and the folder free', async (name, wait) => {
    const { guard } = await startWebgpu();
    const { device } = tf.backend() as unknown as { device: GPUDevice };
    const stage = toyStage({
      prepare: async (step) => {
        if (step !== 4) return;
        device.destroy();
        await wait();
      },
    });
    const run = runStage(stage, options(name, { guard }));
    await expect(run).rejects.toMatchObject({ name: 'BackendError', code: 'lost' });
    await expect(run).rejects.toThrow(
      /^toy: at step 5: webgpu: .+ was lost .+ What was saved is sound: continue with --resume\.$/,
    );
    expect(existsSync(join(root, name, 'lock'))).toBe(false);
    expect(await continued(name)).toContain('toy: continuing at step 4 of 8.');
  });
});

it('a full memory ends the run with an error, the last checkpoint intact', async () => {
  const { guard } = await startWasm();
  const large: tf.DataId[] = [];
  const stage = toyStage({
    prepare: (step) => {
      while (step === 4) large.push(tf.backend().write(null as unknown as Float32Array, [2 ** 28], 'float32'));
    },
  });
  const run = runStage(stage, options('memory', { guard }));
  await expect(run).rejects.toMatchObject({ name: 'BackendError', code: 'memory' });
  await expect(run).rejects.toThrow(
    'toy: at step 5: wasm: out of memory (1024 MiB more were asked for; WebAssembly ends at 4 GiB). Use a smaller batch, or another backend. ' +
      'What was saved is sound: continue with --resume on another --backend, or begin another --run with a smaller batch.',
  );
  expect(large.length).toBeLessThan(4);
  expect(await continued('memory')).toContain('toy: continuing at step 4 of 8.');
});

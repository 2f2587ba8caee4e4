import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { backendProblem } from '@sgdiff/test-kit';
import { describe, expect, it } from 'vitest';
import { runCommand, runJson } from './testing/run-command';
import { temporaryFolder } from './testing/temporary-folder';
import { tinyRunConfig } from './testing/tiny-run';

const TIMEOUT = 300_000;
const folder = temporaryFolder();
const at = (...path: string[]): string => join(folder, ...path);
const problem = await backendProblem('webgpu');

/** Loaded before the command: takes the device away as soon as there is a checkpoint. */
const losing = (checkpoints: string): string => `
  import { existsSync } from 'node:fs';
  const patching = setInterval(() => {
    if (!globalThis.GPUDevice) return;
    clearInterval(patching);
    const { createCommandEncoder } = GPUDevice.prototype;
    GPUDevice.prototype.createCommandEncoder = function (...args) {
      if (existsSync(${JSON.stringify(checkpoints)})) this.destroy();
      return createCommandEncoder.apply(this, args);
    };
  });
  patching.unref();
`;

describe.skipIf(problem)(`train on a GPU that goes away${problem ? ` (${problem})` : ''}`, () => {
  it(
    'ends with an error that says so, and continues from the checkpoint',
    async () => {
      const config = tinyRunConfig();
      writeFileSync(
        at('tiny.json'),
        JSON.stringify({ ...config, autoencoder: { ...config.autoencoder, steps: 1000 } }),
      );
      writeFileSync(at('short.json'), JSON.stringify(config));
      writeFileSync(at('losing.mjs'), losing(at('run/autoencoder/checkpoints')));
      await runJson(folder, ['prepare', 'picture-book', '--run', 'run', '--config', 'tiny.json']);
      const train = ['train', 'autoencoder', '--run', 'run', '--checkpoint-minutes', '0.0001'];
      const { code, stdout, stderr } = await runCommand(
        folder,
        [...train, '--config', 'tiny.json', '--backend', 'webgpu', '--json'],
        {
          NODE_OPTIONS: `--import=${pathToFileURL(at('losing.mjs')).href}`,
        },
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^backend: webgpu, \S.*: \S/);
      expect(stderr).toMatch(
        /^sgdiff: autoencoder: at step 2: webgpu: .+ was lost .+ What was saved is sound: continue with --resume\.$/m,
      );
      expect(existsSync(at('run/autoencoder/lock'))).toBe(false);
      const result = await runJson(folder, [...train, '--config', 'short.json', '--backend', 'wasm', '--resume']);
      expect(result).toMatchObject({ step: 3, finished: true });
    },
    TIMEOUT,
  );
});

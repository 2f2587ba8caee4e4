import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readStageRecord, readStageWeights, runFolder, writeStage, type RunFolder } from './run-folder';
import { temporaryFolder } from './testing/temporary-folder';

const root = temporaryFolder();
let run: RunFolder;

beforeAll(() => setupBackend('cpu'));
beforeEach(async ({ task }) => {
  run = runFolder(join(root, task.id));
  const params = { w: tf.tensor1d([1, 2]) };
  const record = { stage: 'pretrain', config: { seed: 1 }, step: 3, steps: 4, seconds: 5, backend: 'cpu', facts: { scale: 0.5 } } as const;
  await writeStage(run, params, record);
  params.w.dispose();
});

function read(width: number): { w: tf.Tensor } {
  const template = { w: tf.zeros([width]) };
  try {
    return readStageWeights(run, 'pretrain', template);
  } finally {
    template.w.dispose();
  }
}

const weights = (): string => join(run.path, 'pretrain/weights.safetensors');
const REMEDY = 'Run "sgdiff train pretrain --resume": it writes the weights of the last checkpoint again.';

describe('a trained stage', () => {
  it('leaves its weights and how they came about to the next', async () => {
    await expectNoLeak(() => {
      const params = read(2);
      expect(params.w.dataSync()).toEqual(Float32Array.of(1, 2));
      return params;
    });
    expect(readStageRecord(run, 'pretrain')).toMatchObject({ step: 3, steps: 4, facts: { scale: 0.5 } });
  });

  it('is asked for when it is not there', () => {
    expect(() => readStageRecord(run, 'diffusion')).toThrow(
      `${run.path} holds no trained "diffusion" (no ${join(run.path, 'diffusion/stage.json')}). Run "sgdiff train diffusion" first.`,
    );
  });

  it('is refused when its files are gone, damaged or of another config', async () => {
    await expectNoLeak(() => {
      expect(() => read(3)).toThrow(new RegExp(`^${weights()} cannot be used: .*\\[2\\].*Give the --config that "pretrain" was trained with; if the file is damaged: ${REMEDY}$`, 's'));
    });
    truncateSync(weights(), 12);
    await expectNoLeak(() => {
      expect(() => read(2)).toThrow(`${weights()} cannot be used: `);
    });
    rmSync(weights());
    expect(() => read(2)).toThrow(`${weights()} is missing. ${REMEDY}`);
    writeFileSync(join(run.path, 'pretrain/stage.json'), '');
    expect(() => read(2)).toThrow(`${join(run.path, 'pretrain/stage.json')} cannot be read: Unexpected end of JSON input. ${REMEDY}`);
  });
});

import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../testing/temporary-folder';
import { loadCheckpoint, saveCheckpoint } from './checkpoint';

const root = temporaryFolder();
let folder = root;
let warnings: string[] = [];
const warn = (line: string): void => void warnings.push(line);

beforeAll(() => setupBackend('cpu'));
beforeEach(({ task }) => {
  folder = join(root, task.id);
  warnings = [];
});

/** A checkpoint whose numbers tell its step. */
async function save(step: number): Promise<void> {
  const tensors = { 'params/w': tf.tensor2d([step, 0.1, -1e-30, 3e38], [2, 2]), 'adam/step': tf.scalar(step, 'int32') };
  await saveCheckpoint(folder, { stage: 'toy', step, seconds: step / 2, config: { width: 2 } }, tensors);
  tf.dispose(tensors);
}

function loadedStep(): number | undefined {
  const loaded = loadCheckpoint(folder, warn);
  tf.dispose(loaded?.tensors ?? {});
  return loaded?.header.step;
}

const file = (step: number, ending: 'json' | 'safetensors'): string => join(folder, `step-0000000${step}.${ending}`);

describe('checkpoints', () => {
  it('come back as they were saved, to the bit', async () => {
    await save(7);
    const loaded = loadCheckpoint(folder, warn)!;
    expect(loaded.header).toMatchObject({ format: 1, stage: 'toy', step: 7, seconds: 3.5, config: { width: 2 } });
    expect(Object.keys(loaded.tensors)).toEqual(['params/w', 'adam/step']);
    expect(loaded.tensors['params/w'].shape).toEqual([2, 2]);
    expect(loaded.tensors['params/w'].dataSync()).toEqual(Float32Array.of(7, 0.1, -1e-30, 3e38));
    expect(loaded.tensors['adam/step'].dataSync()).toEqual(Float32Array.of(7));
    expect(warnings).toEqual([]);
    tf.dispose(loaded.tensors);
  });

  it('are not there in a new folder', () => {
    expect(loadCheckpoint(folder, warn)).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  it('are kept as the last three, and what a killed run left behind goes', async () => {
    await save(1);
    writeFileSync(`${file(1, 'safetensors')}.4711.tmp`, 'half of a file');
    writeFileSync(file(9, 'safetensors'), 'a file whose header was never written');
    for (const step of [2, 3, 4, 5]) await save(step);
    expect(readdirSync(folder).sort()).toEqual(
      [3, 4, 5].flatMap((step) => [`step-0000000${step}.json`, `step-0000000${step}.safetensors`]),
    );
    expect(loadedStep()).toBe(5);
  });

  it('are saved and loaded without leaving tensors', async () => {
    await expectNoLeak(async () => {
      await save(1);
      return loadCheckpoint(folder, warn)!.tensors;
    });
  });

  it.each<[name: string, tear: (newest: string, header: string) => void, why: RegExp]>([
    ['its end is missing', (newest) => truncateSync(newest, 90), /its hash differs from the one in its header\.$/],
    ['a bit of it changed', flipBit, /its hash differs from the one in its header\.$/],
    ['it is gone', (newest) => rmSync(newest), /ENOENT: no such file or directory/],
    ['its header is cut', (_, header) => truncateSync(header, 20), /JSON/],
    ['its header is empty', (_, header) => writeFileSync(header, '{}'), /its hash differs from the one in its header\.$/],
  ])('are skipped with a warning when %s, and the one before is used', async (_name, tear, why) => {
    await save(1);
    await save(2);
    tear(file(2, 'safetensors'), file(2, 'json'));
    expect(loadedStep()).toBe(1);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`Skipping the checkpoint ${file(2, 'safetensors')}: `);
    expect(warnings[0]).toMatch(why);
    expect(warnings[0]).not.toMatch(/\.\.$/);
  });

  it('do not count without a header, which is written last', async () => {
    await save(1);
    await save(2);
    rmSync(file(2, 'json'));
    expect(loadedStep()).toBe(1);
    expect(warnings).toEqual([]);
  });
});

function flipBit(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(path, bytes);
}

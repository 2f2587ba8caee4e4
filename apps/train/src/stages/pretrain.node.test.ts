import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { flattenParams } from '@sgdiff/nn';
import type { PartManifest } from '@sgdiff/pipeline';
import { setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { preparePictureBook } from '../commands/prepare';
import { train, type TrainOptions } from '../commands/train';
import { pictureBookConfigSchema, misfits, type PictureBookConfig } from '../configs/config';
import { CliError } from '../errors';
import { hasStage, readStageRecord, runFolder } from '../run-folder';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { tinyClipConfig, writeTinyClip } from '../testing/tiny-clip';
import { tinyRunConfig } from '../testing/tiny-run';
import { openStage, trainedPretrain } from './open-stage';

const root = temporaryFolder();
const run = runFolder(join(root, 'run'));

/** The tiny run against a CLIP of another folder, which sees the pictures of 64 px at 32 px. */
function clipRunConfig(over: Partial<PictureBookConfig['pretrain']['model']> = {}): PictureBookConfig {
  const config = tinyRunConfig();
  const side = tinyClipConfig.imageSize / tinyClipConfig.patchSize;
  return {
    ...config,
    pretrain: {
      ...config.pretrain,
      imageEncoder: join(root, 'clip'),
      model: {
        ...config.pretrain.model,
        image: null,
        imageSize: tinyClipConfig.imageSize,
        tokens: { rows: side, columns: side, width: tinyClipConfig.width, classToken: true },
        target: 'features',
        maskProbability: 0.9,
        ...over,
      },
    },
  };
}

function options(over: Partial<TrainOptions> = {}): TrainOptions {
  return {
    resume: false,
    checkpointMinutes: 10,
    workers: 1,
    terminal: silentTerminal(),
    backend: { name: 'cpu', guard: (work: () => Promise<unknown>) => work() } as unknown as TrainOptions['backend'],
    ...over,
  };
}

beforeAll(async () => {
  await setupBackend('cpu');
  await writeTinyClip(join(root, 'clip'));
  await preparePictureBook(tinyRunConfig().data, run.data, silentTerminal());
});

describe('pre-training against a CLIP of another folder', () => {
  it('fits the config, trains, measures its retrieval, and leaves no tensor behind', async () => {
    const config = clipRunConfig();
    expect(pictureBookConfigSchema.parse(config)).toEqual(config);
    expect(misfits(config)).toEqual([]);
    const terminal = silentTerminal();
    const before = tf.memory().numTensors;
    await train('pretrain', config, run, options({ terminal }));
    expect(tf.memory().numTensors).toBe(before);

    const { step, facts, config: trained } = readStageRecord(run, 'pretrain');
    expect(step).toBe(2);
    expect(facts['validationRetrieval']).toMatchObject({ candidates: 4 });
    const { sha256 } = (JSON.parse(readFileSync(join(root, 'clip/model.json'), 'utf8')) as { files: Record<string, { sha256: string }> }).files[
      'image-encoder.safetensors'
    ];
    expect(trained).toMatchObject({ frozen: { imageEncoder: { weights: sha256, config: tinyClipConfig } } });
    expect(trained).not.toHaveProperty('imageEncoder');
    const [line] = readFileSync(join(run.stage('pretrain'), 'log.jsonl'), 'utf8').split('\n');
    const { masked, contrastive } = JSON.parse(line) as Record<string, number>;
    expect(masked).toBeGreaterThan(0);
    expect(contrastive).toBeGreaterThan(0);
  });

  it('keeps no weight of the image encoder', () => {
    const params = trainedPretrain(clipRunConfig(), run);
    const paths = flattenParams(params).map(({ path }) => path.split('.')[0]);
    expect(new Set(paths)).toEqual(new Set(['encoder', 'reconstruction', 'logitScale']));
    tf.dispose(flattenParams(params).map(({ tensor }) => tensor));
  });

  it('continues with the same weights in another place, and not with other weights', async () => {
    const { pretrain, ...config } = clipRunConfig();
    await writeTinyClip(join(root, 'moved'));
    await writeTinyClip(join(root, 'other'), 'another seed');
    const longer = (folder: string, steps: number): PictureBookConfig => ({
      ...config,
      pretrain: { ...pretrain, steps, imageEncoder: join(root, folder) },
    });
    await train('pretrain', longer('moved', 3), run, options({ resume: true }));
    expect(readStageRecord(run, 'pretrain').step).toBe(3);
    await expect(train('pretrain', longer('other', 4), run, options({ resume: true }))).rejects.toThrow(/frozen\.imageEncoder\.weights: was "[0-9a-f]{64}", is "[0-9a-f]{64}"/);

    // The same weights, of which another config makes another network.
    const path = join(root, 'moved/model.json');
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as PartManifest;
    writeFileSync(path, JSON.stringify({ ...manifest, part: { kind: 'image-encoder', config: { ...tinyClipConfig, activation: 'gelu' } } }));
    await expect(train('pretrain', longer('moved', 4), run, options({ resume: true }))).rejects.toThrow(
      'frozen.imageEncoder.config.activation: was "quick-gelu", is "gelu"',
    );
  });

  it('takes the patches without the class token where the config has none', async () => {
    const side = tinyClipConfig.imageSize / tinyClipConfig.patchSize;
    const config = clipRunConfig({ tokens: { rows: side, columns: side, width: tinyClipConfig.width } });
    const patches = { ...runFolder(join(root, 'patches')), data: run.data };
    await train('pretrain', config, patches, options());
    expect(hasStage(patches, 'pretrain')).toBe(true);
  });

  it('refuses an image encoder of other sizes, entry by entry, and frees what it had opened', async () => {
    const { encoder } = clipRunConfig().pretrain.model;
    const config = clipRunConfig({
      imageSize: 64,
      tokens: { rows: 4, columns: 4, width: 10, classToken: true },
      encoder: { ...encoder, globalWidth: 9 },
    });
    const before = tf.memory().numTensors;
    await expect(openStage('pretrain', config, run, silentTerminal())).rejects.toThrow(
      new CliError(
        `The image encoder ${join(root, 'clip')} does not fit the config:\n` +
          '  pretrain.model.imageSize: expected 32, received 64\n' +
          '  pretrain.model.tokens.rows: expected 2, received 4\n' +
          '  pretrain.model.tokens.columns: expected 2, received 4\n' +
          '  pretrain.model.tokens.width: expected 12, received 10\n' +
          '  pretrain.model.encoder.globalWidth: expected 8, received 9\n' +
          'Correct these entries in the file given with --config.',
      ),
    );
    expect(tf.memory().numTensors).toBe(before);
  });
});

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { CliError } from '../errors';
import { temporaryFolder } from '../testing/temporary-folder';
import { tinyRunConfig } from '../testing/tiny-run';
import { loadConfig, misfits, pictureBookConfigSchema } from './config';
import { differences } from './differences';
import { pictureBook } from './picture-book';

const root = temporaryFolder();
let path = root;

beforeEach(({ task }) => {
  path = join(root, `${task.id}.json`);
});

function load(content: unknown): ReturnType<typeof loadConfig> {
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return loadConfig(path);
}

const OUTRO = "Entries left out keep the preset's value.";

describe('the preset', () => {
  it('is what comes without a file, and fits its own rules', () => {
    expect(loadConfig(undefined)).toBe(pictureBook);
    expect(pictureBookConfigSchema.parse(pictureBook)).toEqual(pictureBook);
    expect(misfits(pictureBook)).toEqual([]);
  });

  it('survives JSON, so that a run can be told by its checkpoint', () => {
    expect(JSON.parse(JSON.stringify(pictureBook))).toEqual(pictureBook);
  });
});

describe('a config file', () => {
  it('replaces the entries it has, at any depth, and no others', () => {
    const config = load({ diffusion: { steps: 7, optimiser: { warmupSteps: 1 }, minSnrGamma: null }, data: { train: 64 } });
    expect(config).toEqual({
      ...pictureBook,
      data: { ...pictureBook.data, train: 64 },
      diffusion: {
        ...pictureBook.diffusion,
        steps: 7,
        minSnrGamma: null,
        optimiser: { ...pictureBook.diffusion.optimiser, warmupSteps: 1 },
      },
    });
  });

  it('replaces lists as a whole', () => {
    const { model } = load({ autoencoder: { model: { attentionLevels: [1] } } }).autoencoder;
    expect(model.attentionLevels).toEqual([1]);
  });

  it('changes nothing when it is empty', () => {
    expect(load({})).toEqual(pictureBook);
  });

  it('may hold a whole config', () => {
    expect(load(tinyRunConfig())).toEqual(tinyRunConfig());
  });

  it('of the examples fits', () => {
    const examples = new URL('../../../../examples/configs/', import.meta.url);
    for (const file of readdirSync(examples)) expect(() => loadConfig(fileURLToPath(new URL(file, examples))), file).not.toThrow();
  });

  it.each<[name: string, content: unknown, lines: string]>([
    [
      'misspelt and of the wrong kind',
      { diffusion: { step: 3, batchSize: 'many', optimiser: { clipNorm: 0 } }, data: { size: 100 } },
      '  data.size: Invalid option: expected one of 64|128|256, received 100\n' +
        '  diffusion.batchSize: Invalid input: expected number, received string\n' +
        '  diffusion.optimiser.clipNorm: Too small: expected number to be >0, received 0\n' +
        '  diffusion: Unrecognized key: "step"\n',
    ],
    [
      'with means that never change',
      { diffusion: { optimiser: { beta1: 1, beta2: -0.1 } }, autoencoder: { adversarial: { learningRate: 1e-4, beta2: 1 } } },
      '  autoencoder.adversarial.beta2: Too big: expected number to be <1, received 1\n' +
        '  diffusion.optimiser.beta1: Too big: expected number to be <1, received 1\n' +
        '  diffusion.optimiser.beta2: Too small: expected number to be >=0, received -0.1\n',
    ],
    ['a list', [1], '  (top): Invalid input: expected object, received array\n'],
    [
      'at odds with itself',
      {
        data: { size: 128 },
        pretrain: { model: { encoder: { width: 10, globalWidth: 12, objectCount: 3 } } },
        diffusion: {
          samplingSteps: 2000,
          prediction: 'eps',
          schedule: { zeroTerminalSnr: true },
          model: { inChannels: 5, localWidth: 30, globalWidth: 12, nullToken: false },
        },
      },
      `  pretrain.model.imageSize: expected 128 (data.size), received 64\n` +
        `  pretrain.model.encoder.objectCount: expected ${pictureBook.pretrain.model.encoder.objectCount} (the words of picture-book), received 3\n` +
        `  diffusion.model.inChannels: expected ${pictureBook.autoencoder.model.embedDim} (autoencoder.model.embedDim), received 5\n` +
        '  diffusion.model.nullToken: expected true (diffusion.guidanceScale is not 1 or diffusion.dropCondition is not 0), received false\n' +
        '  diffusion.prediction: expected "v" (diffusion.schedule.zeroTerminalSnr: pure noise tells no eps), received "eps"\n' +
        '  diffusion.samplingSteps: expected at most 1000 (diffusion.schedule.timesteps), received 2000\n',
    ],
    [
      'of widths that do not meet',
      { diffusion: { model: { localWidth: 1, globalWidth: 1, channelMults: [1, 1, 1, 1, 1, 1] } } },
      `  diffusion.model.localWidth: expected ${3 * pictureBook.pretrain.model.encoder.width} (three times pretrain.model.encoder.width), received 1\n` +
        `  diffusion.model.globalWidth: expected ${pictureBook.pretrain.model.encoder.globalWidth} (pretrain.model.encoder.globalWidth), received 1\n` +
        '  data.size: expected a multiple of 128 (by which autoencoder.model and diffusion.model reduce the sides), received 64\n',
    ],
    [
      'with a discriminator that sees more than a picture',
      { autoencoder: { adversarial: { learningRate: 1e-4, layers: 5 } } },
      '  autoencoder.adversarial.layers: expected at most 4 (pictures of 64 pixels, data.size), received 5\n',
    ],
    [
      'without an image encoder',
      { pretrain: { model: { image: null, imageSize: 224 } } },
      '  pretrain.model.imageSize: expected 64 (data.size), received 224\n' +
        '  pretrain.model.image: expected an image encoder to train (pretrain.imageEncoder names none that is trained already), received null\n',
    ],
    [
      'with two image encoders',
      { pretrain: { imageEncoder: 'models/clip' } },
      '  pretrain.model.image: expected null (pretrain.imageEncoder takes its place), received an image encoder to train\n',
    ],
  ])('is refused when it is %s, line by line', (_name, content, lines) => {
    expect(() => load(content)).toThrow(new CliError(`${path} does not fit the config:\n${lines}${OUTRO}`));
  });

  it('is refused when it is no JSON, not there, or a folder', () => {
    expect(() => load('{"data": ')).toThrow(new CliError(`${path} is not valid JSON: Unexpected end of JSON input.`));
    expect(() => loadConfig(`${path}x`)).toThrow(new CliError(`The config ${path}x does not exist. Check the path.`));
    mkdirSync(`${path}.folder`);
    expect(() => loadConfig(`${path}.folder`)).toThrow(new CliError(`The config ${path}.folder is a folder, expected a file.`));
  });
});

describe('differences', () => {
  it('names each entry that differs, and nothing else, whatever the order of the keys', () => {
    const was = { a: 1, b: { c: [1, 2], d: null }, e: 'x' };
    expect(differences(was, { e: 'x', b: { d: null, c: [1, 2] }, a: 1 }, 'top')).toEqual([]);
    expect(differences(was, { a: 2, b: { c: [2, 1], d: {} }, f: true }, 'top')).toEqual([
      '  top.a: was 1, is 2',
      '  top.b.c: was [1,2], is [2,1]',
      '  top.b.d: was null, is {}',
      '  top.e: was "x", is not there',
      '  top.f: was not there, is true',
    ]);
  });
});

import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeSafetensors } from '@sgdiff/nn';
import { setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { preparePictureBook } from '../commands/prepare';
import { train, type TrainOptions } from '../commands/train';
import { misfits, pictureBookConfigSchema, type PictureBookConfig } from '../configs/config';
import { CliError } from '../errors';
import { readStageRecord, runFolder, type RunFolder } from '../run-folder';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { writeTinyLpips } from '../testing/tiny-lpips';
import { tinyRunConfig } from '../testing/tiny-run';
import { stageGradients } from '../training/gradients';
import { openStage } from './open-stage';

const root = temporaryFolder();
const data = join(root, 'data');

/** A run of its own on the common data. */
function runAt(name: string): RunFolder {
  return { ...runFolder(join(root, name)), data };
}

type Autoencoder = PictureBookConfig['autoencoder'];

const perceptual: Autoencoder['perceptual'] = { model: join(root, 'lpips'), weight: 0.5 };
const adversarial: Autoencoder['adversarial'] = { weight: 0.6, startStep: 1, layers: 2, channels: 4, learningRate: 1e-3, beta1: 0.5, beta2: 0.9 };

function withTerms(over: Partial<Autoencoder>): PictureBookConfig {
  const config = tinyRunConfig();
  return { ...config, autoencoder: { ...config.autoencoder, steps: 4, ...over } };
}

function options(over: Partial<TrainOptions> = {}): TrainOptions {
  return {
    resume: false,
    checkpointMinutes: 10,
    workers: 1,
    terminal: silentTerminal(),
    backend: { name: 'wasm', threads: 1, guard: (work: () => Promise<unknown>) => work() } as unknown as TrainOptions['backend'],
    ...over,
  };
}

const logOf = (run: RunFolder): Record<string, number>[] =>
  readFileSync(join(run.stage('autoencoder'), 'log.jsonl'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, number>);

/** Every tensor of the newest checkpoint. */
function checkpointOf(run: RunFolder): Record<string, number[]> {
  const folder = join(run.stage('autoencoder'), 'checkpoints');
  const newest = readdirSync(folder).filter((file) => file.endsWith('.safetensors')).sort().at(-1)!;
  const { tensors } = decodeSafetensors(readFileSync(join(folder, newest)));
  return Object.fromEntries(Object.entries(tensors).map(([name, { data: values }]) => [name, Array.from(values)]));
}

/** Trains so many steps of a run whose schedule is that of `config`, as Ctrl-C would end it. */
async function stopAfter(step: number, config: PictureBookConfig, run: RunFolder): Promise<void> {
  const said: string[] = [];
  const terminal = {
    ...silentTerminal(),
    progress: () => ({ update: (done: number) => void (done === step && process.emit('SIGINT')), stop: () => undefined }),
    note: (line: string) => void said.push(line),
  };
  await train('autoencoder', config, run, options({ terminal }));
  expect(said.at(-1)).toMatch(new RegExp(`^autoencoder: saved at step ${step}, `));
}

beforeAll(async () => {
  await setupBackend('wasm');
  await writeTinyLpips(join(root, 'lpips'));
  await preparePictureBook(tinyRunConfig().data, data, silentTerminal());
});

describe('the autoencoder with a perceptual distance and a discriminator', () => {
  const config = withTerms({ perceptual, adversarial });

  it('fits the config, where all but the rate and the folder has a default', () => {
    expect(pictureBookConfigSchema.parse(config)).toEqual(config);
    expect(misfits(config)).toEqual([]);
    const short = withTerms({ perceptual: { model: 'models/lpips' }, adversarial: { learningRate: 1e-4 } } as Partial<Autoencoder>);
    expect(pictureBookConfigSchema.parse(short).autoencoder).toMatchObject({
      perceptual: { model: 'models/lpips', weight: 1 },
      adversarial: { weight: 0.6, startStep: 0, layers: 2, channels: 64, learningRate: 1e-4, beta1: 0.5, beta2: 0.9 },
    });
  });

  it('trains, logs its terms, and leaves an autoencoder alone and no tensor behind', async () => {
    const run = runAt('both');
    const before = tf.memory().numTensors;
    await train('autoencoder', config, run, options());
    expect(tf.memory().numTensors).toBe(before);
    const record = readStageRecord(run, 'autoencoder');
    expect(record).toMatchObject({ step: 4, config: { perceptual: { weight: 0.5 }, adversarial, frozen: { perceptual: { weights: expect.any(String) as string, config: { widths: [4, 4, 4, 4, 4] } } } } });
    const weights = decodeSafetensors(readFileSync(join(run.stage('autoencoder'), 'weights.safetensors'))).tensors;
    expect(new Set(Object.keys(weights).map((name) => name.split('.')[0]))).toEqual(
      new Set(['encoder', 'quantConv', 'quantize', 'postQuantConv', 'decoder']),
    );
    expect(Object.values(checkpointOf(run)).flat().every(Number.isFinite)).toBe(true);
  });

  it('gives the same numbers to the bit whether it was stopped in between or not', async () => {
    const [unbroken, stopped] = [runAt('both'), runAt('stopped')];
    await stopAfter(2, config, stopped);
    const half = checkpointOf(stopped);
    await train('autoencoder', config, stopped, options({ resume: true }));
    const whole = checkpointOf(stopped);
    expect(whole).toEqual(checkpointOf(unbroken));
    // The discriminator did learn, before the stop and after it.
    for (const name of ['companion/params/convIn.weight', 'companion/running/1.variance', 'companion/adam/m.convOut.weight']) {
      expect(half[name]).toBeDefined();
      expect(whole[name]).not.toEqual(half[name]);
    }
    expect(half['companion/adam/step']).toEqual([1]); // of two steps it was there for the second
    expect(whole['companion/adam/step']).toEqual([3]);
  });

  it('goes on only with the same distance, wherever its folder lies now', async () => {
    await writeTinyLpips(join(root, 'moved'));
    await writeTinyLpips(join(root, 'other'), 'other');
    const at = (folder: string, steps: number): PictureBookConfig => withTerms({ adversarial, steps, perceptual: { model: join(root, folder), weight: 0.5 } });
    await expect(train('autoencoder', at('other', 5), runAt('both'), options({ resume: true }))).rejects.toThrow(
      /was made with another config:\n {2}autoencoder\.frozen\.perceptual\.weights: was "[0-9a-f]{64}", is "[0-9a-f]{64}"\nOnly "steps", "optimiser", "adversarial\.learningRate", "adversarial\.beta1" and "adversarial\.beta2" may change/,
    );
    await train('autoencoder', at('moved', 5), runAt('both'), options({ resume: true }));
    expect(readStageRecord(runAt('both'), 'autoencoder').step).toBe(5);
  });

  it('goes on with another rate of the discriminator, which is said, but not with other sizes of it', async () => {
    const at = (over: object): PictureBookConfig => withTerms({ perceptual, adversarial: { ...adversarial, ...over }, steps: 6 });
    await expect(train('autoencoder', at({ channels: 8 }), runAt('both'), options({ resume: true }))).rejects.toThrow(
      /was made with another config:\n {2}autoencoder\.adversarial\.channels: was 4, is 8\n/,
    );
    const terminal = silentTerminal();
    await train('autoencoder', at({ learningRate: 1e-4, beta1: 0.4, beta2: 0.99 }), runAt('both'), options({ resume: true, terminal }));
    expect(terminal.lines[0]).toBe(
      'Other settings than before:\n  autoencoder.steps: was 5, is 6\n  autoencoder.adversarial.learningRate: was 0.001, is 0.0001\n' +
        '  autoencoder.adversarial.beta1: was 0.5, is 0.4\n  autoencoder.adversarial.beta2: was 0.9, is 0.99',
    );
  });

  it('logs what each term is', async () => {
    const run = runAt('logged');
    await train('autoencoder', withTerms({ perceptual, adversarial: { ...adversarial, startStep: 0 }, steps: 1 }), run, options());
    const [line] = logOf(run);
    const terms = ['reconstruction', 'codebook', 'l1', 'perceptual', 'adversarial', 'adaptiveWeight', 'discriminator', 'real', 'decoded'];
    for (const term of terms) expect(line[term], term).toEqual(expect.any(Number));
    const { loss, reconstruction, codebook, perceptual: distance, adversarial: deceit, adaptiveWeight } = line;
    expect(loss).toBeCloseTo(reconstruction + codebook + 0.5 * distance + 0.6 * adaptiveWeight * deceit, 4);
  });

  it('cannot be split over workers, and says why', async () => {
    await expect(train('autoencoder', config, runAt('workers'), options({ workers: 2 }))).rejects.toThrow(
      new CliError('The stage "autoencoder" trains against a discriminator that judges a batch as a whole, so a batch cannot be split. Leave out --workers.'),
    );
  });
});

it('with a perceptual distance alone the gradients of parts of a batch have the mean of the whole', async () => {
  const open = await openStage('autoencoder', withTerms({ perceptual }), runAt('parts'), silentTerminal());
  expect(open.stage.splitsBatch).toBe(true);
  const params = open.stage.init();
  const gradients = async (index: number, count: number): Promise<Float32Array> => {
    await open.stage.prepare?.(0, { index, count });
    const { grads } = stageGradients(open.stage, params, 0, { index, count });
    return (await grads['decoder.convOut.weight'].data()) as Float32Array;
  };
  const whole = await gradients(0, 1);
  const halves = [await gradients(0, 2), await gradients(1, 2)];
  const largest = Math.max(...whole.map(Math.abs));
  expect(halves[0].map((value, i) => (value + halves[1][i]) / 2)).toBeAllClose(whole, { rtol: 0, atol: 1e-4 * largest });
  open.dispose();
});

describe('a stage that cannot be opened frees what it had opened', () => {
  const opened = async (config: PictureBookConfig, run: RunFolder, message: RegExp): Promise<void> => {
    const before = tf.memory().numTensors;
    await expect(openStage('autoencoder', config, run, silentTerminal())).rejects.toThrow(message);
    expect(tf.memory().numTensors).toBe(before);
  };

  it('when a split of the data is not whole', async () => {
    const torn = join(root, 'torn');
    cpSync(data, torn, { recursive: true });
    rmSync(join(torn, 'validation-0000.rgb'));
    await opened(withTerms({ perceptual }), { ...runAt('torn'), data: torn }, /validation-0000\.rgb is missing/);
  });

  it('when the batch is larger than the data', async () => {
    await opened(withTerms({ perceptual, batchSize: 9 }), runAt('large'), /A batch of 9 needs at least as many samples/);
  });
});

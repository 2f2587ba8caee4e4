import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { decode } from 'fast-png';
import { beforeAll, describe, expect, it } from 'vitest';
import type { BackendReport } from './commands/doctor';
import { readRecord } from './png';
import { runCommand, runJson, startCommand } from './testing/run-command';
import { temporaryFolder } from './testing/temporary-folder';
import { tinyRunConfig } from './testing/tiny-run';

// Each command is a process of its own; on a busy machine it may have to wait long for its turn.
const TIMEOUT = 300_000;
const WASM = ['--backend', 'wasm', '--threads', '1'];

const folder = temporaryFolder();
const at = (...path: string[]): string => join(folder, ...path);
const RUN = ['--run', 'run', '--config', 'tiny.json'];

beforeAll(() => {
  writeFileSync(at('tiny.json'), JSON.stringify(tinyRunConfig()));
});

const aNumber = expect.any(Number) as number;
const aShare = expect.toSatisfy((value) => value >= 0 && value <= 1) as number;

describe('the whole chain', () => {
  it(
    'prepare draws the data and a contact sheet',
    async () => {
      expect(await runJson(folder, ['prepare', 'picture-book', ...RUN])).toEqual({
        folder: at('run/data'),
        splits: { train: 8, validation: 4, test: 1, detector: 1 },
        contactSheet: at('run/data/contact-sheet.png'),
        seconds: aNumber,
      });
      const shards = ['detector', 'test', 'train', 'validation'].flatMap((split) => [`${split}-0000.json`, `${split}-0000.rgb`]);
      expect(readdirSync(at('run/data')).sort()).toEqual(['contact-sheet.png', 'contact-sheet.txt', 'manifest.json', ...shards].sort());
      const { width, height } = decode(readFileSync(at('run/data/contact-sheet.png')));
      expect([width, height]).toEqual([8 * 132 + 4, 132 + 4]);
    },
    TIMEOUT,
  );

  it(
    'prepare refuses to mix data of another seed in',
    async () => {
      const { data } = tinyRunConfig();
      writeFileSync(at('seed.json'), JSON.stringify({ ...tinyRunConfig(), data: { ...data, seed: 2 } }));
      const { code, stderr } = await runCommand(folder, ['prepare', 'picture-book', '--run', 'run', '--config', 'seed.json']);
      expect(code).toBe(1);
      expect(stderr).toBe(
        `sgdiff: ${at('run/data')} holds picture-book of seed 1 at 64 px, asked for seed 2 at 64 px. ` +
          'Choose another folder with --run, or remove this one.\n',
      );
    },
    TIMEOUT,
  );

  it.each<[stage: string, steps: number, options: readonly string[]]>([
    ['autoencoder', 3, []],
    ['pretrain', 2, []],
    ['detector', 1, []],
    ['diffusion', 2, ['--workers', '2']],
  ])(
    'train %s leaves weights, a log, a checkpoint and a report',
    async (stage, steps, options) => {
      expect(await runJson(folder, ['train', stage, ...RUN, ...WASM, ...options])).toEqual({
        stage,
        step: steps,
        steps,
        seconds: aNumber,
        finished: true,
        folder: at('run', stage),
      });
      expect(readdirSync(at('run', stage)).sort()).toEqual(['checkpoints', 'log.jsonl', 'report.html', 'stage.json', 'weights.safetensors']);
    },
    TIMEOUT,
  );

  it(
    'train refuses data of another config, and more training of what the diffusion stands on',
    async () => {
      const config = tinyRunConfig();
      writeFileSync(at('other.json'), JSON.stringify({ ...config, data: { ...config.data, seed: 9, train: 9 } }));
      const other = await runCommand(folder, ['train', 'detector', '--run', 'run', '--config', 'other.json', '--backend', 'cpu', '--resume']);
      expect(other.code).toBe(1);
      expect(other.stderr).toContain(
        `sgdiff: ${at('run/data')} holds other data than the config asks for:\n  data.seed: was 1, is 9\n  data.train: was 8, is 9\n` +
          'Give the --config that it was prepared with, or take another --run.\n',
      );
      writeFileSync(at('longer.json'), JSON.stringify({ ...config, autoencoder: { ...config.autoencoder, steps: 5 } }));
      const longer = await runCommand(folder, ['train', 'autoencoder', '--run', 'run', '--config', 'longer.json', '--backend', 'cpu', '--resume']);
      expect(longer.code).toBe(1);
      expect(longer.stderr).toContain(
        'sgdiff: "autoencoder" has 3 of 5 steps, but "diffusion" was begun on its weights as they are. ' +
          `Train it further in another --run, or remove ${at('run/diffusion')} first.\n`,
      );
    },
    TIMEOUT,
  );

  it(
    'train refuses to split a batch whose items are compared with each other',
    async () => {
      const { code, stderr } = await runCommand(folder, ['train', 'pretrain', ...RUN, '--backend', 'cpu', '--workers', '2', '--resume']);
      expect(code).toBe(1);
      expect(stderr).toContain(
        'sgdiff: The stage "pretrain" compares the items of a batch with each other, so a batch cannot be split. Leave out --workers.\n',
      );
    },
    TIMEOUT,
  );

  it(
    'export writes a model folder, and only with the config of the training',
    async () => {
      const wrong = tinyRunConfig();
      const config = { ...wrong, diffusion: { ...wrong.diffusion, prediction: 'eps' } };
      writeFileSync(at('eps.json'), JSON.stringify(config));
      const { code, stderr } = await runCommand(folder, ['export', '--run', 'run', '--config', 'eps.json', '--out', 'model']);
      expect(code).toBe(1);
      expect(stderr).toBe(
        'sgdiff: The stage "diffusion" was trained with another config:\n  diffusion.prediction: was "v", is "eps"\nGive the --config that it was trained with.\n',
      );
      expect(existsSync(at('model'))).toBe(false);

      const weights = at('run/autoencoder/weights.safetensors');
      const trained = readFileSync(weights);
      const other = Buffer.from(trained);
      other[other.length - 4]! ^= 1; // the last digit of the last number
      writeFileSync(weights, other);
      const swapped = await runCommand(folder, ['export', ...RUN, '--out', 'model']);
      const resumed = await runCommand(folder, ['train', 'diffusion', ...RUN, '--backend', 'cpu', '--resume']);
      writeFileSync(weights, trained);
      const line = new RegExp('\n  (weights|diffusion\\.frozen)\\.autoencoder: was "[0-9a-f]{64}", is "[0-9a-f]{64}"\n');
      expect(swapped.code).toBe(1);
      expect(swapped.stderr).toMatch(line);
      expect(swapped.stderr).toContain('these weights are not the ones that "diffusion" was trained on:\n  weights.autoencoder:');
      expect(existsSync(at('model'))).toBe(false);
      expect(resumed.code).toBe(1);
      expect(resumed.stderr).toMatch(line);

      const files = ['vocab.json', ...['encoder', 'image-encoder', 'autoencoder', 'unet', 'detector'].map((name) => `${name}.safetensors`)];
      expect(await runJson(folder, ['export', ...RUN, '--out', 'model', '--name', 'tiny'])).toEqual({ model: at('model'), bytes: aNumber, files });
      expect(readdirSync(at('model')).sort()).toEqual([...files, 'model.json'].sort());
    },
    TIMEOUT,
  );

  it(
    'generate draws a graph',
    async () => {
      writeFileSync(at('my-graph.json'), '{"objects": ["sheep", "grass", "tree"], "relationships": [[0, "standing on", 1], [2, "behind", 0]]}');
      const settings = ['--model', 'model', ...WASM, '--seed', '7', '--steps', '2'];
      const result = await runJson(folder, ['generate', 'my-graph.json', ...settings, '--out', 'out']);
      expect(result).toEqual({ backend: 'wasm', seconds: aNumber, peakBytes: aNumber, images: [{ path: at('out/my-graph.png'), seed: 7, seconds: aNumber }] });
      const record = readRecord(readFileSync(at('out/my-graph.png')));
      expect(record).toMatchObject({ seed: 7, steps: 2, backend: 'wasm', model: { name: 'tiny' }, graph: { objects: ['sheep', 'grass', 'tree'] } });
      expect(JSON.parse(readFileSync(at('out/my-graph.json'), 'utf8'))).toEqual(record);
    },
    TIMEOUT,
  );

  it(
    'edit draws a changed graph with the settings of the picture',
    async () => {
      const changes = ['--change', 'sheep -> zebra', '--change', '- tree'];
      const result = await runJson(folder, ['edit', 'out/my-graph.png', ...changes, '--model', 'model', ...WASM, '--out', 'out/edit.png']);
      expect(result).toEqual({ backend: 'wasm', seconds: aNumber, peakBytes: aNumber, images: [{ path: at('out/edit.png'), seed: 7, seconds: aNumber }] });
      expect(readRecord(readFileSync(at('out/edit.png')))).toMatchObject({ seed: 7, steps: 2, graph: { objects: ['zebra', 'grass'] } });
    },
    TIMEOUT,
  );

  it(
    'generate --replay draws a picture again, equal to the byte',
    async () => {
      const result = await runJson(folder, ['generate', 'out/my-graph.png', '--replay', '--model', 'model', ...WASM, '--out', 'out']);
      expect(result).toMatchObject({ images: [{ path: at('out/my-graph-replay.png'), seed: 7 }] });
      expect(readFileSync(at('out/my-graph-replay.png')).equals(readFileSync(at('out/my-graph.png')))).toBe(true);
    },
    TIMEOUT,
  );

  it(
    'generate draws the same picture with threads, whose memory is shared',
    async () => {
      const settings = ['--model', 'model', '--backend', 'wasm', '--threads', '2', '--seed', '7', '--steps', '2'];
      const { code, stderr } = await runCommand(folder, ['generate', 'my-graph.json', ...settings, '--out', 'threads']);
      expect(stderr).toContain('backend: wasm, 2 threads (asked for)\n');
      expect(code).toBe(0);
      const pixels = (path: string): Uint8Array => new Uint8Array(decode(readFileSync(at(path))).data);
      expect(pixels('threads/my-graph.png')).toEqual(pixels('out/my-graph.png'));
    },
    TIMEOUT,
  );

  it(
    'generate goes on with one thread, and says why, where threads do not start',
    async () => {
      const args = ['generate', 'sheep', '--model', 'model', '--backend', 'wasm', '--threads', '2', '--steps', '1', '--out', 'alone'];
      writeFileSync(at('unshared.mjs'), 'delete globalThis.SharedArrayBuffer;');
      const { code, stderr } = await runCommand(folder, args, { NODE_OPTIONS: `--import=${pathToFileURL(at('unshared.mjs')).href}` });
      expect(stderr).toMatch(/^backend: wasm, 1 thread \(asked for; without threads, which do not start: .*SharedArrayBuffer.*\)$/m);
      expect(code).toBe(0);
      expect(existsSync(at('alone/picture.png'))).toBe(true);
    },
    TIMEOUT,
  );

  it(
    'evaluate measures graph compliance with its ceiling and floor',
    async () => {
      const result = await runJson(folder, ['evaluate', '--model', 'model', '--count', '2', ...WASM, '--out', 'report']);
      expect(result).toMatchObject({
        compliance: {
          graphs: 2,
          entity: aShare,
          relation: aShare,
          ceiling: { entity: aShare, relation: aShare },
          floor: { entity: aShare, relation: aShare },
        },
        protocol: { dataset: 'picture-book', split: 'test', steps: 2, sampler: 'dpm-solver++2m', guidanceScale: 3, spacing: 'trailing', eta: 0, model: 'tiny', backend: 'wasm' },
        seconds: aNumber,
      });
      expect(readdirSync(at('report')).sort()).toEqual(['compliance.json', 'compliance.png']);
    },
    TIMEOUT,
  );

  it(
    'evaluate --pretrain measures retrieval',
    async () => {
      const ranks = { r1: aShare, r5: aShare, r10: aShare };
      expect(await runJson(folder, ['evaluate', '--pretrain', 'model', '--count', '4', '--candidates', '4', '--split', 'validation', ...WASM])).toMatchObject({
        retrieval: { graphToImage: ranks, imageToGraph: ranks, candidates: 4 },
        protocol: { dataset: 'picture-book', split: 'validation', count: 4 },
      });
    },
    TIMEOUT,
  );

  it(
    'saves when it is interrupted in training, and continues',
    async () => {
      const config = tinyRunConfig();
      const withSteps = (steps: number): string => JSON.stringify({ ...config, autoencoder: { ...config.autoencoder, steps } });
      writeFileSync(at('long.json'), withSteps(1_000_000));
      const args = ['train', 'autoencoder', '--run', 'stopped', '--json', ...WASM];
      cpSync(at('run/data'), at('stopped/data'), { recursive: true });
      const training = startCommand(folder, [...args, '--config', 'long.json']);
      await until(() => existsSync(at('stopped/autoencoder/log.jsonl')));
      training.interrupt();
      const { code, stdout, stderr } = await training.done;
      expect(code).toBe(0);
      const { step, finished } = JSON.parse(stdout) as { step: number; finished: boolean };
      expect(step).toBeGreaterThan(0);
      expect(finished).toBe(false);
      expect(stderr).toContain('autoencoder: stopping after this step, saving … (again to stop at once)');
      expect(stderr).toContain(`autoencoder: saved at step ${step}, `);

      writeFileSync(at('long.json'), withSteps(step + 2));
      const continued = await runCommand(folder, [...args, '--config', 'long.json', '--resume']);
      expect(continued.stderr).toContain(`autoencoder: continuing at step ${step} of ${step + 2}.`);
      expect(JSON.parse(continued.stdout)).toMatchObject({ step: step + 2, finished: true });
    },
    TIMEOUT,
  );

  it(
    'saves when its terminal is closed in training',
    async () => {
      const config = tinyRunConfig();
      writeFileSync(at('closed.json'), JSON.stringify({ ...config, autoencoder: { ...config.autoencoder, steps: 1_000_000 } }));
      cpSync(at('run/data'), at('closed/data'), { recursive: true });
      const training = startCommand(folder, ['train', 'autoencoder', '--run', 'closed', '--config', 'closed.json', '--json', ...WASM]);
      await until(() => existsSync(at('closed/autoencoder/log.jsonl')));
      training.hangUp();
      const { code, stdout } = await training.done;
      expect(code).toBe(0);
      const { step } = JSON.parse(stdout) as { step: number };
      expect(readdirSync(at('closed/autoencoder/checkpoints'))).toContain(`step-${String(step).padStart(8, '0')}.json`);
      expect(existsSync(at('closed/autoencoder/weights.safetensors'))).toBe(true);
    },
    TIMEOUT,
  );
});

describe('doctor', () => {
  it(
    'tells which backends work here, how fast they are, and which one is chosen',
    async () => {
      const result = await runJson(folder, ['doctor']);
      expect(result).toMatchObject({ threads: aNumber, chosen: expect.toBeOneOf(['tensorflow', 'wasm']) as string });
      const backends = result['backends'] as BackendReport[];
      expect(backends.map(({ name }) => name)).toEqual(['tensorflow', 'webgpu', 'wasm', 'cpu']);
      for (const { name, available, reason, adapter, threads, gflops } of backends) {
        if (available) {
          expect(gflops).toBeGreaterThan(0);
          expect(threads).toBeGreaterThan(0);
          if (name === 'webgpu') expect(adapter).toMatch(/^\S.*: \S/);
        } else {
          expect(reason).not.toBe('');
          expect({ adapter, threads, gflops }).toEqual({ adapter: null, threads: 0, gflops: null });
        }
      }
      expect(backends.slice(2)).toMatchObject([
        { name: 'wasm', available: true, threads: result['threads'] },
        { name: 'cpu', available: true, threads: 1 },
      ]);
    },
    TIMEOUT,
  );
});

describe('help', () => {
  it(
    'lists every command',
    async () => {
      const { code, stdout } = await runCommand(folder, ['--help']);
      expect(code).toBe(0);
      for (const command of ['prepare', 'train', 'generate', 'edit', 'evaluate', 'export', 'info', 'import', 'init', 'demo', 'doctor']) {
        expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
      }
    },
    TIMEOUT,
  );
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadPipeline, type ModelManifest } from '@sgdiff/pipeline';
import { folderSource } from '@sgdiff/pipeline/node';
import { PRESETS } from '@sgdiff/published-models';
import { setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import { runCommand, runJson } from '../testing/run-command';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { writeTinyModel } from '../testing/tiny-model';
import { info } from './info';
import { initModel } from './init';

const TIMEOUT = 120_000;
const folder = temporaryFolder();

beforeAll(() => setupBackend('cpu'));

describe('info', () => {
  it.each([
    ['sgdiff-vg-256', 13_241_857],
    ['sgdiff-coco-256', 13_224_449],
  ])(
    '%s has the published parts',
    async (preset, parameters) => {
      expect(await runJson(folder, ['info', '--preset', preset])).toEqual({
        name: preset,
        parts: {
          unet: { parameters: 395_771_140, tensors: 628 },
          encoder: { parameters, tensors: 53 },
          autoencoder: { parameters: 67_717_295, tensors: 299 },
        },
        total: { parameters: 395_771_140 + 67_717_295 + parameters, tensors: 980 },
      });
    },
    TIMEOUT,
  );

  it('prints a table for people', async () => {
    const terminal = silentTerminal();
    await info({ preset: 'sgdiff-vg-256' }, terminal);
    expect(terminal.lines).toEqual([
      'sgdiff-vg-256',
      '  part          parameters  tensors',
      '  unet         395,771,140      628',
      '  encoder       13,241,857       53',
      '  autoencoder   67,717,295      299',
      '  total        476,730,292      980',
    ]);
  });

  it('counts what a model folder holds', async () => {
    await writeTinyModel(join(folder, 'tiny'));
    const { parts, total } = await info({ model: join(folder, 'tiny') }, silentTerminal());
    expect(Object.keys(parts)).toEqual(['unet', 'encoder', 'autoencoder']);
    for (const [part, { tensors }] of Object.entries(parts)) {
      const bytes = readFileSync(join(folder, 'tiny', `${part}.safetensors`));
      const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString()) as Record<string, unknown>;
      expect([part, Object.keys(header).filter((name) => name !== '__metadata__').length]).toEqual([part, tensors]);
    }
    expect(total.tensors).toBe(Object.values(parts).reduce((sum, { tensors }) => sum + tensors, 0));
  });

  it('names the file whose config cannot be used, as the loader does', async () => {
    const path = join(folder, 'tiny', 'model.json');
    const text = readFileSync(path, 'utf8');
    const { parts, ...rest } = JSON.parse(text) as ModelManifest;
    const message = async (manifest: unknown): Promise<unknown> => {
      writeFileSync(path, JSON.stringify(manifest));
      return info({ model: join(folder, 'tiny') }, silentTerminal()).catch((error: unknown) => error);
    };
    const broken = await message({ ...rest, parts: { ...parts, encoder: { ...parts.encoder, layers: 0 } } });
    expect(broken).toMatchObject({ name: 'ModelError', code: 'invalid_manifest', cause: { name: 'SgEncoderError' } });
    expect((broken as Error).message).toMatch(
      /^.*tiny\/model\.json: parts\.encoder cannot be used: .*layers.* Correct it or get the model folder again\.$/,
    );
    const single = await message({ ...rest, part: { kind: 'encoder', config: { ...parts.encoder, layers: 0 } } });
    expect((single as Error).message).toMatch(/^.*tiny\/model\.json: part\.config cannot be used: .*layers/);
    writeFileSync(path, text);
  });

  it(
    'says what it expects',
    async () => {
      const messages = await Promise.all(
        [['info', '--preset', 'sgdiff'], ['info'], ['info', '--model', 'nowhere']].map((args) => runCommand(folder, args)),
      );
      expect(messages.map(({ code }) => code)).toEqual([1, 1, 1]);
      expect(messages[0]!.stderr).toBe('sgdiff: Unknown preset "sgdiff", expected one of: sgdiff-vg-256, sgdiff-coco-256.\n');
      expect(messages[1]!.stderr).toBe('sgdiff: Expected --model <model> or --preset <name>, the latter one of: sgdiff-vg-256, sgdiff-coco-256.\n');
      expect(messages[2]!.stderr).toBe('sgdiff: Model "nowhere": expected a folder, a URL or an installed npm package, found none. Check the name.\n');
    },
    TIMEOUT,
  );
});

describe('init', () => {
  const { manifest, vocabulary } = PRESETS['sgdiff-coco-256'];
  /** The preset with parts small enough for a test; the words stay. */
  const small = {
    encoder: { ...manifest.parts.encoder, width: 8, layers: 2, hiddenWidth: 8, globalWidth: 8 },
    autoencoder: { ...manifest.parts.autoencoder, baseChannels: 4, codebookSize: 8, groups: 2 },
    unet: { ...manifest.parts.unet, modelChannels: 4, numResBlocks: 1, headChannels: 4, contextWidth: 8, localWidth: 24, globalWidth: 8, groups: 2 },
  };
  const init = (out: string, seed: number): ReturnType<typeof initModel> =>
    initModel({ preset: 'sgdiff-coco-256', seed, out: join(folder, out), precision: 'fp16' }, silentTerminal(), small);

  it('writes a folder that loads, the same for the same seed', async () => {
    await init('a', 1);
    await init('b', 1);
    await init('c/', 2);
    expect(readdirSync(join(folder, 'a')).sort()).toEqual(['autoencoder.safetensors', 'encoder.safetensors', 'model.json', 'unet.safetensors', 'vocab.json']);
    const weights = (model: string): Buffer[] => ['encoder', 'autoencoder', 'unet'].map((part) => readFileSync(join(folder, model, `${part}.safetensors`)));
    expect(weights('a')).toEqual(weights('b'));
    weights('c').forEach((bytes, i) => expect(bytes.equals(weights('a')[i]!)).toBe(false));
    const pipeline = await loadPipeline(folderSource(join(folder, 'a')));
    expect(pipeline.vocabulary.objects).toEqual(vocabulary.objects);
    expect(pipeline.manifest.name).toBe('sgdiff-coco-256-untrained-1');
    pipeline.dispose();
  });

  it('refuses a preset it does not know, and writes nothing', async () => {
    const out = join(folder, 'none');
    await expect(initModel({ preset: 'none', seed: 0, out, precision: 'fp16' }, silentTerminal())).rejects.toThrow(
      'Unknown preset "none", expected one of: sgdiff-vg-256, sgdiff-coco-256.',
    );
    expect(existsSync(out)).toBe(false);
  });
});

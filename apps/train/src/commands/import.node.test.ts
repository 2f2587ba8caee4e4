import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeSafetensors, encodeSafetensors, fromLayout, shapeInLayout, toFloat16, type TensorEntry, type TensorSource } from '@sgdiff/nn';
import { loadPipeline, type ModelManifest } from '@sgdiff/pipeline';
import { folderSource } from '@sgdiff/pipeline/node';
import { planImport } from '@sgdiff/published-models';
import { createVocabulary, vocabularyToJson } from '@sgdiff/sg-schema';
import { seededUniform, setupBackend } from '@sgdiff/test-kit';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sha256 } from '../files';
import { runCommand, runJson } from '../testing/run-command';
import { silentTerminal } from '../testing/silent-terminal';
import { temporaryFolder } from '../testing/temporary-folder';
import { tinyCheckpoint, tinyParts } from '../testing/tiny-checkpoint';
import { importModel, openWeights, UNKNOWN_LICENCE, type ImportCommandOptions, type ImportSetting } from './import';

const TIMEOUT = 120_000;
const folder = temporaryFolder();
const at = (...path: string[]): string => join(folder, ...path);
const checkpoint = at('tiny.ckpt');

/** The words of the tiny checkpoint: 5 objects and 3 predicates with the special ones. */
const words = createVocabulary(['sky', 'grass', 'sheep', 'tree'], ['above', 'on']);

function importTiny(
  options: Partial<ImportCommandOptions> = {},
  setting: ImportSetting = {},
  paths: readonly string[] = [checkpoint],
): ReturnType<typeof importModel> {
  return importModel(paths, { kind: 'sgdiff', out: at('out'), vocab: at('vocab.json'), ...options }, silentTerminal(), { parts: tinyParts, ...setting });
}

/** The numbers the maker of the checkpoint gave the tensor of that name, in our layout and half precision. */
function expectedHalves({ path, shape, source }: TensorEntry & { readonly source: TensorSource }): Uint16Array {
  const stored = shapeInLayout(shape, source.layout);
  const count = stored.reduce((product, n) => product * n, 1);
  const inputs = stored.slice(1).reduce((product, n) => product * n, 1);
  const isNorm = stored.length === 1 && source.name.endsWith('weight');
  const bound = isNorm ? 0.3 : stored.length < 2 ? 0.1 : source.name.includes('embedding') ? 1 : Math.sqrt(3 / inputs);
  const values = seededUniform(source.name, count, bound);
  expect(count, path).toBeGreaterThan(0);
  return toFloat16(fromLayout(isNorm ? values.map((value) => 1 + value) : values, shape, source.layout));
}

/** What the checkpoint holds, to be written as safetensors. */
async function checkpointTensors(): Promise<Parameters<typeof encodeSafetensors>[0]> {
  const file = await openWeights(checkpoint);
  try {
    return Object.fromEntries(
      await Promise.all(
        [...file.tensors].map(async ([name, { dtype, shape }]) => {
          const { buffer } = await file.read(name);
          return [name, dtype === 'I32' ? { dtype, shape, data: new Int32Array(buffer) } : { dtype: 'F32' as const, shape, data: new Float32Array(buffer) }] as const;
        }),
      ),
    );
  } finally {
    await file.close();
  }
}

beforeAll(() => {
  writeFileSync(checkpoint, tinyCheckpoint());
  writeFileSync(at('vocab.json'), JSON.stringify(vocabularyToJson(words)));
});

describe('import of a whole checkpoint', () => {
  it('gives every weight its own numbers, and a folder that loads', async () => {
    const result = await importTiny({ licence: 'CC BY 4.0' });
    expect(result).toMatchObject({
      model: at('out'),
      kind: 'sgdiff',
      variant: 'custom',
      precision: 'fp16',
      parts: { encoder: { tensors: 29 }, autoencoder: { tensors: 155 }, unet: { tensors: 288 } },
      ignored: {
        'raw weights of the U-Net (its moving average is taken)': 288,
        'state of the moving average': 2,
        'noise schedule (computed anew)': 12,
      },
    });
    const file = await openWeights(checkpoint);
    const { parts } = planImport('sgdiff', file.tensors, { parts: tinyParts });
    await file.close();
    for (const { kind, tensors: planned } of parts) {
      const { tensors } = decodeSafetensors(readFileSync(at('out', `${kind}.safetensors`)));
      expect(Object.keys(tensors)).toEqual(planned.map(({ path }) => path));
      for (const tensor of planned) {
        expect([tensor.path, tensors[tensor.path]]).toEqual([
          tensor.path,
          { dtype: 'F16', shape: tensor.shape, data: expectedHalves(tensor) },
        ]);
      }
    }
    expect(parts[2]!.tensors.every(({ source }) => source.name.startsWith('model_ema.'))).toBe(true);

    expect(readdirSync(at('out')).sort()).toEqual(['autoencoder.safetensors', 'encoder.safetensors', 'model.json', 'unet.safetensors', 'vocab.json']);
    const manifest = JSON.parse(readFileSync(at('out/model.json'), 'utf8')) as ModelManifest;
    expect(manifest).toMatchObject({
      format: 1,
      name: 'out',
      licence: 'CC BY 4.0',
      description: 'The published SGDiff at 256 px, for scene graphs in 5 object words and 3 predicates.',
      prediction: 'eps',
      latentScale: 1,
      parts: tinyParts,
    });
    for (const [name, { sha256: hash, bytes }] of Object.entries(manifest.files)) {
      const content = readFileSync(at('out', name));
      expect([name, hash, bytes]).toEqual([name, sha256(content), content.length]);
    }
    const all = readdirSync(at('out')).reduce((sum, name) => sum + readFileSync(at('out', name)).length, 0);
    expect(result.bytes).toBe(all);

    await setupBackend('cpu');
    const pipeline = await loadPipeline(folderSource(at('out')));
    expect(pipeline.vocabulary.objects).toEqual(words.objects);
    pipeline.dispose();
  });

  it('takes the raw weights with --raw, single precision with --precision fp32, and says whose they are', async () => {
    const result = await importTiny({ out: at('raw'), raw: true, precision: 'fp32', name: 'mine' });
    expect(Object.keys(result.ignored)).toContain('moving average of the U-Net (its raw weights are taken)');
    const { tensors } = decodeSafetensors(readFileSync(at('raw/unet.safetensors')));
    const expected = seededUniform('model.diffusion_model.out.2.bias', 4, 0.1);
    expect(tensors['out.conv.bias']).toEqual({ dtype: 'F32', shape: [4], data: expected });
    const { name, licence } = JSON.parse(readFileSync(at('raw/model.json'), 'utf8')) as ModelManifest;
    expect([name, licence]).toEqual(['mine', UNKNOWN_LICENCE]);
  });

  it('takes safetensors as well, by what the file holds and not by its name', async () => {
    writeFileSync(at('weights.bin'), encodeSafetensors(await checkpointTensors()));
    const result = await importTiny({ out: at('from-safetensors') }, {}, [at('weights.bin')]);
    const other = await importTiny({ out: at('from-torch') });
    expect(result.parts).toEqual(other.parts);
    for (const part of ['encoder', 'autoencoder', 'unet']) {
      const bytes = ['from-safetensors', 'from-torch'].map((model) => sha256(readFileSync(at(model, `${part}.safetensors`))));
      expect(bytes[0]).toBe(bytes[1]);
    }
  });

  it('writes the folder of a single part', async () => {
    const result = await importTiny({ kind: 'vq-f8', out: at('autoencoder'), vocab: undefined } as Partial<ImportCommandOptions>);
    expect(result.parts).toEqual({ autoencoder: expect.objectContaining({ tensors: 155 }) as unknown });
    expect(readdirSync(at('autoencoder')).sort()).toEqual(['autoencoder.safetensors', 'model.json']);
    const manifest = JSON.parse(readFileSync(at('autoencoder/model.json'), 'utf8')) as Record<string, unknown>;
    expect(Object.keys(manifest)).toEqual(['format', 'name', 'licence', 'part', 'files']);
    expect(manifest['part']).toEqual({ kind: 'autoencoder', config: tinyParts.autoencoder });
    await importTiny({ kind: 'sip', out: at('encoder') });
    expect(readdirSync(at('encoder')).sort()).toEqual(['encoder.safetensors', 'model.json', 'vocab.json']);
  });
});

describe('import of two files', () => {
  const zeros = (shapes: Record<string, readonly number[]>): Uint8Array => {
    const tensors = Object.entries(shapes).map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((product, n) => product * n, 1));
      return [name, { dtype: 'F32' as const, shape, data }] as const;
    });
    return encodeSafetensors(Object.fromEntries(tensors));
  };

  it('takes VGG16 and the heads of the perceptual distance, but nothing twice', async () => {
    const widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512];
    const numbers = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
    const vgg = Object.fromEntries(
      numbers.flatMap((number, i) => [
        [`features.${number}.weight`, [widths[i]!, widths[i - 1] ?? 3, 3, 3]],
        [`features.${number}.bias`, [widths[i]!]],
      ]),
    ) as Record<string, number[]>;
    const heads = Object.fromEntries([64, 128, 256, 512, 512].map((width, i) => [`lin${i}.model.1.weight`, [1, width, 1, 1]]));
    writeFileSync(at('vgg16.safetensors'), zeros({ ...vgg, 'classifier.0.bias': [8] }));
    writeFileSync(at('heads.safetensors'), zeros(heads));
    const both = [at('vgg16.safetensors'), at('heads.safetensors')];
    const result = await importModel(both, { kind: 'lpips', out: at('lpips') }, silentTerminal());
    expect(result).toMatchObject({ parts: { perceptual: { parameters: 14_716_160, tensors: 31 } }, ignored: { 'the classifier of VGG16': 1 } });
    expect(JSON.parse(readFileSync(at('lpips/model.json'), 'utf8'))).toMatchObject({ part: { kind: 'perceptual' } });

    const alone = importModel([both[0]!], { kind: 'lpips', out: at('no') }, silentTerminal());
    await expect(alone).rejects.toThrow(/ 5 missing: "lin0\.model\.1\.weight", .* give the file of the other half as well\.$/);
    const twice = importModel([...both, both[1]!], { kind: 'lpips', out: at('no') }, silentTerminal());
    await expect(twice).rejects.toThrow(
      `"lin0.model.1.weight" is in ${both[1]!} and in ${both[1]!}. Give files that hold different weights.`,
    );
    expect(existsSync(at('no'))).toBe(false);
  });
});

describe('an import that fails leaves nothing', () => {
  const before: string[] = [];
  beforeEach(() => {
    before.splice(0, before.length, ...readdirSync(folder));
  });
  afterEach(() => {
    expect(readdirSync(folder).filter((name) => !before.includes(name) && !/\.(ckpt|json|safetensors)$/.test(name))).toEqual([]);
  });
  const fails = async (import_: Promise<unknown>): Promise<string> => {
    try {
      await import_;
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('expected the import to fail');
  };
  const out = at('nothing');

  it.each([
    ['encoder', 200],
    ['U-Net', 60_000],
  ])('when the disk fills within the %s', async (_, capacity) => {
    let left = capacity;
    const message = await fails(
      importTiny(
        { out },
        {
          async append(file, bytes) {
            left -= bytes.length;
            if (left < 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
            await file.write(bytes);
          },
        },
      ),
    );
    expect(message).toBe(
      `${out}: the disk is full; expected 1 MB of free space. Nothing was kept. Free some, or choose a folder on another disk with --out.`,
    );
  });

  it('when the disk fails', async () => {
    const append = (): Promise<void> => Promise.reject(Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO', syscall: 'write' }));
    expect(await fails(importTiny({ out }, { append }))).toBe(
      `Could not write ${out}: EIO: i/o error, write. Nothing was kept. Choose another folder with --out.`,
    );
  });

  it('when the disk turns out to be full as the last bytes go to it', async () => {
    const append: ImportSetting['append'] = async (file, bytes) => {
      await file.write(bytes);
      file.sync = () => Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, fsync'), { code: 'ENOSPC', syscall: 'fsync' }));
    };
    expect(await fails(importTiny({ out }, { append }))).toMatch(/: the disk is full; expected 1 MB of free space\. Nothing was kept\. /);
  });

  it('when the target is taken meanwhile, and that stays as it is', async () => {
    const taken = at('taken-meanwhile');
    const append: ImportSetting['append'] = async (file, bytes) => {
      await file.write(bytes);
      mkdirSync(taken, { recursive: true });
      writeFileSync(join(taken, 'note'), 'of somebody else');
    };
    expect(await fails(importTiny({ out: taken }, { append }))).toMatch(
      new RegExp(`^Could not write ${taken}: .*not empty.* Nothing was kept\\. Choose another folder with --out\\.$`),
    );
    expect(readdirSync(taken)).toEqual(['note']);
    before.push('taken-meanwhile');
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('when %s comes', async (signal) => {
    let writes = 0;
    const append: ImportSetting['append'] = async (file, bytes) => {
      await file.write(bytes);
      if (++writes === 40) process.emit(signal);
    };
    const listeners = process.listenerCount(signal);
    expect(await fails(importTiny({ out }, { append }))).toBe(`Stopped. Nothing was written to ${out}.`);
    expect(writes).toBe(40);
    expect(process.listenerCount(signal)).toBe(listeners);
  });

  it.each([0.3, 0.9, 0.999])('when the file is cut to %s of its length', async (share) => {
    const bytes = tinyCheckpoint();
    writeFileSync(at('cut.ckpt'), bytes);
    truncateSync(at('cut.ckpt'), Math.floor(bytes.length * share));
    await expect(importTiny({ out }, {}, [at('cut.ckpt')])).rejects.toMatchObject({ name: 'TorchFileError' });
  });

  it('when safetensors are cut', async () => {
    const bytes = encodeSafetensors({ 'obj_embeddings.weight': { dtype: 'F32', shape: [6, 4], data: new Float32Array(24) } });
    writeFileSync(at('cut.safetensors'), bytes.subarray(0, bytes.length - 8));
    await expect(importTiny({ kind: 'sip', out }, {}, [at('cut.safetensors')])).rejects.toMatchObject({ name: 'CheckpointError' });
  });

  it('when a weight of safetensors is no number', async () => {
    const name = 'cond_stage_model.graph_projection.bias';
    const tensors = await checkpointTensors();
    (tensors[name]!.data as Float32Array)[2] = NaN;
    writeFileSync(at('nan.safetensors'), encodeSafetensors(tensors));
    const failing = importTiny({ out }, {}, [at('nan.safetensors')]);
    await expect(failing).rejects.toMatchObject({ name: 'ImportError', details: { code: 'not_finite' } });
    expect(await fails(failing)).toContain(`nan.safetensors: "${name}" (here "projection.bias") holds NaN at 2, expected finite numbers. `);
  });

  it('when a weight of a checkpoint is no number', async () => {
    const bytes = tinyCheckpoint();
    const value = seededUniform('cond_stage_model.graph_projection.bias', 4, 0.1);
    const place = Buffer.from(bytes).indexOf(Buffer.from(value.buffer));
    expect(place).toBeGreaterThan(0);
    new DataView(bytes.buffer, bytes.byteOffset).setFloat32(place, NaN, true);
    writeFileSync(at('nan.ckpt'), bytes);
    const damaged = importTiny({ out }, {}, [at('nan.ckpt')]);
    expect(await fails(damaged)).toMatch(/"cond_stage_model\.graph_projection\.bias": damaged archive: \S+ does not have the checksum/);
    const failing = importTiny({ out, skipChecksums: true }, {}, [at('nan.ckpt')]);
    await expect(failing).rejects.toMatchObject({ name: 'ImportError', details: { code: 'not_finite' } });
    expect(await fails(failing)).toContain('"cond_stage_model.graph_projection.bias" (here "projection.bias") holds NaN at 0,');
  });

  it('when it is another kind of file, or of other sizes', async () => {
    expect(await fails(importTiny({ kind: 'inception-fid', out, vocab: undefined } as Partial<ImportCommandOptions>))).toMatch(
      /It looks like a full SGDiff checkpoint: import it with --as sgdiff\.$/,
    );
    const published = importModel([checkpoint], { kind: 'sgdiff', out }, silentTerminal());
    expect(await fails(published)).toMatch(/^.*tiny\.ckpt does not hold the weights of sgdiff: \d+ missing: .* \d+ misshapen: .* but not a whole one of the published sizes\./);
    writeFileSync(at('text.json'), 'no weights at all');
    await expect(importTiny({ out }, {}, [at('text.json')])).rejects.toMatchObject({ name: 'TorchFileError' });
  });

  it('when the words do not belong to the weights, or are not known', async () => {
    writeFileSync(at('other.json'), JSON.stringify(vocabularyToJson(createVocabulary(['sky'], ['above', 'on']))));
    expect(await fails(importTiny({ out, vocab: at('other.json') }))).toBe(
      `${at('other.json')} does not belong to these weights: expected 5 objects and 3 predicates, received 2 and 3. ` +
        'Give the vocab.json that they were trained with.',
    );
    expect(await fails(importTiny({ out, vocab: undefined } as Partial<ImportCommandOptions>))).toBe(
      'The weights were trained on 5 objects and 3 predicates, no published model’s sizes, so their words are not known here. ' +
        'Give the vocab.json that belongs to them with --vocab.',
    );
    writeFileSync(at('broken.json'), '{"object_idx_to_name": []}');
    expect(await fails(importTiny({ out, vocab: at('broken.json') }))).toMatch(/broken\.json is no vocabulary: /);
    expect(await fails(importTiny({ kind: 'vq-f8', out }))).toBe('--vocab: vq-f8 has no words. Leave it out.');
  });

  it('when the target is taken, and the target stays as it was', async () => {
    mkdirSync(at('taken'), { recursive: true });
    writeFileSync(at('taken/note.json'), '{}');
    expect(await fails(importTiny({ out: at('taken') }))).toBe(
      `${at('taken')} is not empty. Choose another folder with --out, or remove this one.`,
    );
    expect(readdirSync(at('taken'))).toEqual(['note.json']);
    before.push('taken');
    expect(await fails(importTiny({ out: at('vocab.json') }))).toMatch(/vocab\.json is a file\. Choose another folder\.$/);
  });

  it('when the target is a link to a file, to a full folder or to nothing, before any work', async () => {
    const link = at('link.json'); // passes for a file of the test
    const linked = async (target: string): Promise<string> => {
      rmSync(link, { force: true });
      symlinkSync(target, link);
      return fails(importModel([at('none.ckpt')], { kind: 'sgdiff', out: link }, silentTerminal()));
    };
    expect(await linked(at('vocab.json'))).toBe(`Cannot write to the folder ${link}: ${link} is a file. Choose another folder.`);
    expect(await linked(at('nowhere'))).toBe(`Cannot write to the folder ${link}: ${link} is a link to nothing. Choose another folder.`);
    expect(await linked(folder)).toBe(`${link} is not empty. Choose another folder with --out, or remove this one.`);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
  });

  it('when there is no such file', async () => {
    expect(await fails(importTiny({ out }, {}, [at('none.ckpt')]))).toBe(`${at('none.ckpt')} does not exist. Check the path.`);
    expect(await fails(importTiny({ out }, {}, [folder]))).toBe(`${folder} is a folder, expected a file of weights. Name the file in it.`);
    writeFileSync(at('empty.ckpt'), '');
    expect(await fails(importTiny({ out }, {}, [at('empty.ckpt')]))).toBe(`${at('empty.ckpt')} is empty, expected a file of weights. Get it again.`);
    expect(await fails(importTiny({ out }, {}, [checkpoint, checkpoint]))).toBe(
      '--as sgdiff: expected one file, received 2. Give the one that holds the weights.',
    );
    expect(await fails(importTiny({ out, kind: 'sip', raw: true }))).toMatch(/^--raw is for --as sgdiff/);
  });
});

describe('a target', () => {
  it('may be an empty folder, and what a killed import has left beside it is cleared away', async () => {
    mkdirSync(at('empty'));
    const dead = at('empty.unfinished-4194304'); // above every process id of Linux
    const reborn = at(`empty.unfinished-${process.pid}`); // of a process that had the number of this one
    const alive = at(`empty.unfinished-${process.ppid}`);
    for (const left of [dead, reborn, alive]) {
      mkdirSync(left);
      writeFileSync(join(left, 'encoder.safetensors'), 'the first bytes');
    }
    await importTiny({ out: at('empty') });
    expect(existsSync(at('empty/model.json'))).toBe(true);
    expect([dead, reborn, alive].map(existsSync)).toEqual([false, false, true]);
  });

  it.each([
    ['that is not there', false],
    ['that is empty', true],
  ])('%s may have a slash at its end', async (_, there) => {
    const out = at(`slash-${there}`);
    if (there) mkdirSync(out);
    const before = readdirSync(folder);
    const result = await importTiny({ out: `${out}/` });
    expect(result.model).toBe(out);
    expect(readdirSync(out)).toContain('model.json');
    expect(JSON.parse(readFileSync(join(out, 'model.json'), 'utf8'))).toMatchObject({ name: `slash-${there}` });
    expect(readdirSync(folder).filter((name) => name !== `slash-${there}`)).toEqual(before.filter((name) => name !== `slash-${there}`));
  });

  it('may be a link to an empty folder: the model comes to be behind it', async () => {
    mkdirSync(at('elsewhere/behind'), { recursive: true });
    symlinkSync(at('elsewhere/behind'), at('link'));
    await importTiny({ out: at('link') });
    expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
    expect(readdirSync(at('elsewhere'))).toEqual(['behind']);
    expect(readdirSync(at('elsewhere/behind'))).toContain('model.json');
  });
});

describe('the command', () => {
  it(
    'imports a graph encoder of the published size, with the published words',
    async () => {
      const { parts } = planShapes();
      writeFileSync(at('sip.safetensors'), parts);
      const result = await runJson(folder, ['import', 'sip.safetensors', '--as', 'sip', '--out', 'sip']);
      expect(result).toMatchObject({ model: at('sip'), kind: 'sip', variant: 'coco', parts: { encoder: { parameters: 13_224_449, tensors: 53 } } });
      const vocabulary = JSON.parse(readFileSync(at('sip/vocab.json'), 'utf8')) as { object_idx_to_name: string[] };
      expect(vocabulary.object_idx_to_name).toHaveLength(184);
    },
    TIMEOUT,
  );

  it(
    'says what it expects',
    async () => {
      const unknown = await runCommand(folder, ['import', 'tiny.ckpt', '--as', 'gan', '--out', 'x']);
      expect(unknown.code).toBe(1);
      expect(unknown.stderr).toContain("argument 'gan' is invalid. Allowed choices are sgdiff, sip, vq-f8, clip-vit-b32, inception-fid, lpips.");
      const other = await runCommand(folder, ['import', 'tiny.ckpt', '--as', 'sgdiff', '--out', 'x']);
      expect(other.code).toBe(1);
      expect(other.stderr).toMatch(/^sgdiff: .*tiny\.ckpt does not hold the weights of sgdiff: .* and \d+ more\. .*\n--verbose lists all names\.\n$/);
      const all = await runCommand(folder, ['import', 'tiny.ckpt', '--as', 'sgdiff', '--out', 'x', '--json', '--verbose']);
      expect(all.code).toBe(1);
      expect(all.stdout).toBe('');
      const missing = Number(/: (\d+) missing/.exec(other.stderr)?.[1]);
      expect(all.stderr).toMatch(new RegExp(`\n${missing} missing:\n( {2}\\S+\n){${missing}}(\\d+ unexpected:\n|\\d+ misshapen:\n  ")`));
      expect(existsSync(at('x'))).toBe(false);
    },
    TIMEOUT,
  );
});

/** A safetensors file of the published COCO encoder, all zero. */
function planShapes(): { parts: Uint8Array } {
  const layers = ['graph_conv', ...[0, 1, 2, 3, 4].map((i) => `graph_net.gconvs.${i}`)];
  const shapes: Record<string, number[]> = {
    logit_scale: [],
    'obj_embeddings.weight': [185, 512],
    'pred_embeddings.weight': [7, 512],
    'graph_projection.weight': [512, 1024],
    'graph_projection.bias': [512],
  };
  for (const layer of layers) {
    for (const [net, outWidth, inWidth] of [['net1.0', 512, 1536], ['net1.2', 1536, 512], ['net2.0', 512, 512], ['net2.2', 512, 512]] as const) {
      shapes[`${layer}.${net}.weight`] = [outWidth, inWidth];
      shapes[`${layer}.${net}.bias`] = [outWidth];
    }
  }
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((product, n) => product * n, 1));
    return [name, { dtype: 'F32' as const, shape, data }] as const;
  });
  return { parts: encodeSafetensors(Object.fromEntries(tensors)) };
}

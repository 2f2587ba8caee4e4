import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { flattenParams, createRng, disposeParams, openSafetensors, shapeInLayout, type StateDict } from '@sgdiff/nn';
import { readGolden, setupBackend } from '@sgdiff/test-kit';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  clipForm,
  clipSource,
  clipTensors,
  clipVitB32Config,
  initClipImageEncoder,
  isOtherClipTensor,
  PretrainError,
  type ClipForm,
  type ClipVisionConfig,
} from './index';
import { readClip } from './testing/read-clip';

const { config } = readGolden<{ tiny: { config: ClipVisionConfig } }>(
  import.meta.url,
  '../fixtures/clip.golden.json',
).tiny;
const FORMS = ['openai', 'transformers'] as const;

function open(form: ClipForm): Promise<StateDict> {
  const bytes = readFileSync(new URL(`../fixtures/clip-tiny.${form}.safetensors`, import.meta.url));
  return openSafetensors({
    name: form,
    size: bytes.length,
    read: async (offset, length) => new Uint8Array(bytes.subarray(offset, offset + length)),
    close: async () => {},
  });
}

describe('clipTensors', () => {
  beforeAll(() => setupBackend('cpu'));

  it('lists exactly what initClipImageEncoder makes, in its order', () => {
    const params = initClipImageEncoder(config, createRng(1));
    expect(clipTensors(config)).toEqual(
      flattenParams(params).map(({ path, tensor }) => ({ path, shape: tensor.shape })),
    );
    disposeParams(params);
  });

  it('counts the 87,849,216 weights of ViT-B/32', () => {
    const sizes = clipTensors(clipVitB32Config).map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    expect(sizes).toHaveLength(200);
    expect(sizes.reduce((a, b) => a + b)).toBe(87_849_216);
  });

  it.each<[at: string, wrong: Partial<Record<keyof ClipVisionConfig, unknown>>, rest: string]>([
    ['sides that do not divide', { imageSize: 30 }, 'imageSize to be a multiple of config.patchSize 7, received 30.'],
    ['heads that do not divide', { heads: 5 }, 'width to be a multiple of config.heads 5, received 24.'],
    ['no layers', { layers: 0 }, 'layers to be a whole number from 1, received 0.'],
    ['another activation', { activation: 'relu' }, 'activation to be "quick-gelu" or "gelu", received "relu".'],
  ])('refuses %s', (_, wrong, rest) => {
    const bad = { ...config, ...wrong } as ClipVisionConfig;
    expect(() => clipTensors(bad)).toThrow(
      new PretrainError(`clipTensors: expected config.${rest}`, { code: 'invalid_config' }),
    );
    expect(() => initClipImageEncoder(bad, createRng(1))).toThrow(`initClipImageEncoder: expected config.${rest}`);
  });
});

describe.each(FORMS)('a whole CLIP as %s names it', (form) => {
  it('has every weight in its place and shape; the rest is known to be something else', async () => {
    const file = await open(form);
    const found = clipForm(file.tensors.keys())!;
    expect(found).toEqual({ form, prefix: form === 'openai' ? 'visual.' : 'vision_model.' });
    const needed = new Set<string>();
    for (const { path, shape } of clipTensors(config)) {
      const { name, layout, rows } = clipSource(path, config, found.form, found.prefix);
      needed.add(name);
      const stored = shapeInLayout(shape, layout);
      if (rows) {
        expect(rows[1] - rows[0], path).toBe(stored[0]);
        stored[0] = file.tensors.get(name)!.shape[0]!;
      }
      expect(file.tensors.get(name)?.shape, `${path} as ${name}`).toEqual(stored);
    }
    for (const name of file.tensors.keys()) expect(isOtherClipTensor(name), name).toBe(!needed.has(name));
    expect(needed.size).toBe(form === 'openai' ? 3 + 4 + 1 + 2 * 12 : 3 + 4 + 1 + 2 * 16);
  });
});

describe('both forms', () => {
  it('hold the same weights', async () => {
    const [openai, transformers] = await Promise.all(FORMS.map(async (form) => readClip(await open(form), config)));
    expect([...openai!.keys()]).toEqual(clipTensors(config).map(({ path }) => path));
    for (const [path, { values }] of openai!) {
      expect(values, path).toEqual(transformers!.get(path)!.values);
      expect(values.some((x) => x !== 0)).toBe(true);
    }
  });

  it('give no two weights the same place', () => {
    const path = fc.constantFrom(...clipTensors(config).map((entry) => entry.path));
    fc.assert(
      fc.property(path, path, fc.constantFrom(...FORMS), (a, b, form) => {
        const [first, second] = [a, b].map((each) => JSON.stringify(clipSource(each, config, form)));
        expect(first === second).toBe(a === b);
      }),
    );
  });

  it.each(['layers.0.mlp.side.weight', 'patch.bias', 'layers.0.norm3.bias', 'nothing'])(
    'know no weight "%s"',
    (path) => {
      for (const form of FORMS) {
        expect(() => clipSource(path, config, form)).toThrow(
          new TypeError(`clipSource: CLIP has no weight "${path}".`),
        );
      }
    },
  );
});

describe('clipForm', () => {
  it.each<[string, ReturnType<typeof clipForm>]>([
    ['visual.class_embedding', { form: 'openai', prefix: 'visual.' }],
    ['module.clip_model.visual.class_embedding', { form: 'openai', prefix: 'module.clip_model.visual.' }],
    ['vision_model.embeddings.class_embedding', { form: 'transformers', prefix: 'vision_model.' }],
    ['clip.vision_model.embeddings.class_embedding', { form: 'transformers', prefix: 'clip.vision_model.' }],
    ['embeddings.class_embedding', { form: 'transformers', prefix: '' }],
    ['visual.conv1.weight', undefined], // CLIP's ResNets have it too
  ])('tells by %s', (name, expected) => {
    expect(clipForm(['logit_scale', name])).toEqual(expected);
  });

  it('lets the projection of the transformers form stand beside the vision model, wherever that is', () => {
    const name = (prefix: string): string => clipSource('projection.weight', config, 'transformers', prefix).name;
    expect(name('vision_model.')).toBe('visual_projection.weight');
    expect(name('clip.vision_model.')).toBe('clip.visual_projection.weight');
    expect(name('')).toBe('visual_projection.weight');
  });
});

describe('isOtherClipTensor', () => {
  it('does not take a weight of another model for one of CLIP', () => {
    for (const name of [
      'visual.layer1.0.conv1.weight',
      'head.weight',
      'text_model',
      'visual.extra',
      'obj_embeddings.weight',
    ]) {
      expect(isOtherClipTensor(name), name).toBe(false);
    }
  });
});

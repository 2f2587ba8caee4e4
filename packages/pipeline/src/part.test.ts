import { autoencoderTensors, decode, type AutoencoderConfig, type AutoencoderParams } from '@sgdiff/latent-autoencoder';
import { expectNoLeak, setupBackend } from '@sgdiff/test-kit';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadPipeline } from './load';
import { memorySource } from './model-source';
import { loadPart, parsePartManifest } from './part';
import { tinyManifest, tinyModel, withManifest, type ModelFiles } from './testing/tiny-model';

const config = tinyManifest.parts.autoencoder;
const partManifest = {
  format: 1,
  name: 'first stage',
  licence: 'MIT',
  part: { kind: 'autoencoder', config },
};

let weights: ModelFiles;
let files: ModelFiles;
beforeAll(async () => {
  await setupBackend('cpu');
  const model = await tinyModel();
  weights = { 'autoencoder.safetensors': model['autoencoder.safetensors']! };
  files = withManifest(weights, partManifest);
});

const load = (changed: ModelFiles): Promise<unknown> =>
  loadPart<AutoencoderParams, AutoencoderConfig>(memorySource('models/vq', changed), 'autoencoder', autoencoderTensors);

describe('loadPart', () => {
  it('gives a part that runs', async () => {
    await expectNoLeak(async () => {
      const source = memorySource('models/vq', files);
      const part = await loadPart<AutoencoderParams, AutoencoderConfig>(source, 'autoencoder', autoencoderTensors);
      expect(part.config).toEqual(config);
      expect(part.manifest.name).toBe('first stage');
      tf.tidy(() => {
        expect(decode(part.params, part.config, tf.zeros([1, 2, 2, 2])).shape).toEqual([1, 4, 4, 3]);
      });
      return part.params;
    });
  });

  const changed = (change: object): ModelFiles => withManifest(weights, { ...partManifest, ...change });
  it.each<[string, () => ModelFiles, string | RegExp]>([
    [
      'a part of another kind',
      () => withManifest({ 'perceptual.safetensors': new Uint8Array(3) }, { ...partManifest, part: { kind: 'perceptual', config } }),
      'models/vq/model.json: part.kind: expected "autoencoder", received "perceptual". Name the folder of the right part.',
    ],
    [
      'a kind that does not exist',
      () => changed({ part: { kind: 'brush', config } }),
      'models/vq/model.json: part.kind: expected one of encoder, autoencoder, image-encoder, inception, perceptual, received "brush". ' +
        'Correct it or import the part again.',
    ],
    [
      'a whole model',
      () => changed({ part: undefined, parts: tinyManifest.parts }),
      'models/vq/model.json: part: expected the folder of a single part, received a whole model. ' +
        'Name the folder that `sgdiff import` wrote for this part.',
    ],
    [
      'weights that are not listed',
      () => ({ ...weights, 'model.json': new TextEncoder().encode(JSON.stringify({ ...partManifest, files: {} })) }),
      'models/vq/model.json: files["autoencoder.safetensors"]: expected an object with sha256 and bytes, received nothing. ' +
        'Correct it or import the part again.',
    ],
    [
      'a config the part cannot use',
      () => changed({ part: { kind: 'autoencoder', config: { ...config, stem: 3 } } }),
      'models/vq/model.json: the config of the part in autoencoder.safetensors cannot be used: AutoencoderConfig: expected stem to be 1, 2 or 4, ' +
        'received 3. Correct it or get the model folder again.',
    ],
    [
      'weights of another config',
      () => changed({ part: { kind: 'autoencoder', config: { ...config, codebookSize: 255 } } }),
      /does not fit model\.json: loadWeights: .* misshapen: "quantize\.embedding\.weight" is \[256, 2\] in the file but \[255, 2\] in the model/,
    ],
  ])('refuses %s, and leaves nothing', async (_, broken, message) => {
    await expectNoLeak(() => expect(load(broken())).rejects.toThrow(message));
  });
});

it('tells who asks for a whole model that the folder holds a part', async () => {
  await expect(loadPipeline(memorySource('models/vq', files))).rejects.toThrow(
    'models/vq/model.json: expected a whole model, received the single part "autoencoder". A picture needs encoder, autoencoder ' +
      'and unet: name a folder that has all three.',
  );
});

it('refuses a manifest without a name', () => {
  expect(() => parsePartManifest('{"format": 1, "licence": "MIT"}', 'x/model.json')).toThrow(
    'x/model.json: name: expected a string, received nothing. Correct it or import the part again.',
  );
});

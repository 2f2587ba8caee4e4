import { mkdirSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { initUnet, type UnetConfig } from '@sgdiff/diffusion-unet';
import { initAutoencoder, type AutoencoderConfig } from '@sgdiff/latent-autoencoder';
import { createRng, disposeParams, paramsToSafetensors, type ParamTree } from '@sgdiff/nn';
import { MODEL_FORMAT, type ModelManifest } from '@sgdiff/pipeline';
import { initSgEncoder, type SgEncoderConfig } from '@sgdiff/sg-encoder';
import { createVocabulary, vocabularyToJson } from '@sgdiff/sg-schema';

const vocabulary = createVocabulary(['sky', 'grass', 'sheep', 'zebra', 'tree'], ['above', 'standing on', 'behind']);

const encoder: SgEncoderConfig = {
  objectCount: vocabulary.objects.length,
  predicateCount: vocabulary.predicates.length,
  width: 4,
  layers: 1,
  hiddenWidth: 4,
  globalWidth: 4,
  maxTriples: 6,
  norm: 'layer',
};

const autoencoder: AutoencoderConfig = {
  imageChannels: 3,
  stem: 2,
  baseChannels: 4,
  channelMults: [1],
  numResBlocks: 1,
  attentionLevels: [],
  middle: 'none',
  zChannels: 2,
  embedDim: 2,
  codebookSize: 16,
  groups: 2,
};

const unet: UnetConfig = {
  inChannels: 2,
  outChannels: 2,
  modelChannels: 4,
  channelMults: [1, 2],
  numResBlocks: 1,
  attentionFactors: [2],
  headChannels: 4,
  transformerDepth: 1,
  contextWidth: 4,
  localWidth: 12,
  globalWidth: 4,
  globalInTime: true,
  maskPadding: true,
  nullToken: true,
  groups: 2,
};

/** Writes a model folder of fresh weights that draws 8×8 pictures of 5 words. Needs a backend. */
export async function writeTinyModel(folder: string, over: Partial<SgEncoderConfig> = {}): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const rng = createRng('tiny-model');
  const contents: Record<string, Uint8Array> = {
    'vocab.json': new TextEncoder().encode(JSON.stringify(vocabularyToJson(vocabulary))),
    'encoder.safetensors': await weights(initSgEncoder({ ...encoder, ...over }, rng)),
    'autoencoder.safetensors': await weights(initAutoencoder(autoencoder, rng)),
    'unet.safetensors': await weights(initUnet(unet, rng)),
  };
  const manifest: ModelManifest = {
    format: MODEL_FORMAT,
    name: 'tiny',
    licence: 'Apache-2.0',
    imageSize: 8,
    schedule: { kind: 'sqrt-linear', timesteps: 50, betaStart: 0.0015, betaEnd: 0.3 },
    prediction: 'v',
    latentScale: 1,
    defaults: { sampler: 'dpm-solver++2m', steps: 2, guidanceScale: 2 },
    parts: { encoder: { ...encoder, ...over }, autoencoder, unet },
    files: Object.fromEntries(
      Object.entries(contents).map(([file, bytes]) => [file, { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length }]),
    ),
  };
  for (const [file, bytes] of Object.entries(contents)) writeFileSync(join(folder, file), bytes);
  writeFileSync(join(folder, 'model.json'), JSON.stringify(manifest));
}

async function weights(params: ParamTree): Promise<Uint8Array> {
  try {
    return await paramsToSafetensors(params, { dtype: 'F16' });
  } finally {
    disposeParams(params);
  }
}
